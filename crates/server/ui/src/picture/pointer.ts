// Mouse, touch and keyboard on the picture, turned into intentions (hover, brush, pan, zoom, pin, move).
// Must not know data, URL or drawing; reports through the handlers it is given.

export interface Point { x: number; y: number; pageX: number; pageY: number }

export type Grip = 'plot' | 'keys' | 'time' | null;

export interface Handlers {
  /** What a drag from here takes hold of. */
  grip(p: Point): Grip;
  hover(p: Point): void;
  leave(): void;
  brush(a: Point, b: Point, both: boolean, done: boolean): void;
  brushCancel(): void;
  /** Moves by pixels along the axes. */
  drag(dx: number, dy: number): void;
  wheel(p: Point, factor: number, keys: boolean): void;
  click(p: Point): void;
  moveCursor(rows: number, columns: number): void;
  enter(): void;
  escape(): void;
  help(): void;
  largest(): void;
  zoomIn(keys: boolean): void;
  zoomOut(keys: boolean): void;
  back(): void;
  shift(fraction: number, keys: boolean): void;
  search(): void;
  table(): void;
}

const REACH = 5;
const DOUBLE_MS = 220;
const ARROWS: Record<string, readonly [number, number]> = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

interface Press extends Point { grip: Grip; both: boolean; pan: boolean; id: number }

export function attachPointer(canvas: HTMLCanvasElement, on: Handlers): () => void {
  const gone = new AbortController();
  const until = { signal: gone.signal };
  let down: Press | null = null;
  let other: Point | null = null;
  let otherId = -1;
  let last: Point | null = null;
  let dragging = false;
  let clickTimer = 0;

  const at = (e: MouseEvent): Point => {
    const box = canvas.getBoundingClientRect();
    return { x: e.clientX - box.left, y: e.clientY - box.top, pageX: e.clientX, pageY: e.clientY };
  };
  const isPan = (press: Press): boolean => press.pan || press.grip === 'keys' || press.grip === 'time';
  const cancel = (): void => {
    if (dragging && down && !isPan(down)) on.brushCancel();
    down = other = null;
    dragging = false;
  };

  canvas.addEventListener('pointerdown', (e) => {
    if (e.button > 1) return;
    const p = at(e);
    canvas.setPointerCapture(e.pointerId);
    if (down && e.pointerType === 'touch') {
      other = p;
      otherId = e.pointerId;
      return;
    }
    const pan = e.button === 1 || e.altKey || e.ctrlKey || e.metaKey || e.pointerType === 'touch';
    down = { ...p, grip: on.grip(p), both: e.shiftKey, pan, id: e.pointerId };
    last = p;
    dragging = false;
    if (e.button === 1) e.preventDefault();
  }, until);

  canvas.addEventListener('pointermove', (e) => {
    const p = at(e);
    if (down && other && last) {
      pinch(e, p);
      return;
    }
    if (down && !dragging && Math.hypot(p.x - down.x, p.y - down.y) > REACH) dragging = down.grip !== null;
    if (!dragging || !down || !last) {
      if (!down || e.pointerType === 'mouse') on.hover(p);
      return;
    }
    if (isPan(down)) on.drag(down.grip === 'keys' ? 0 : p.x - last.x, down.grip === 'time' ? 0 : p.y - last.y);
    else on.brush(down, p, down.both || e.shiftKey, false);
    last = p;
  }, until);

  /** Two fingers: the distance along each axis zooms that axis. */
  const pinch = (e: PointerEvent, p: Point): void => {
    const still = e.pointerId === otherId ? (last as Point) : (other as Point);
    const before = e.pointerId === otherId ? (other as Point) : (last as Point);
    const gap = (a: Point, b: Point, axis: 'x' | 'y'): number => Math.abs(a[axis] - b[axis]);
    for (const axis of ['x', 'y'] as const) {
      const [was, is] = [gap(before, still, axis), gap(p, still, axis)];
      if (was > 40 && is > 40) on.wheel({ ...still, x: (p.x + still.x) / 2, y: (p.y + still.y) / 2 }, was / is, axis === 'y');
    }
    if (e.pointerId === otherId) other = p;
    else last = p;
  };

  canvas.addEventListener('pointerup', (e) => {
    const p = at(e);
    const was = down;
    const pinched = other !== null;
    down = other = null;
    if (!was || pinched) return;
    if (dragging) {
      dragging = false;
      if (!isPan(was)) on.brush(was, p, was.both || e.shiftKey, true);
    } else if (Math.hypot(p.x - was.x, p.y - was.y) <= REACH) {
      clearTimeout(clickTimer);
      if (e.pointerType !== 'mouse') on.hover(p);
      clickTimer = window.setTimeout(() => on.click(p), DOUBLE_MS);
    }
  }, until);

  canvas.addEventListener('pointercancel', cancel, until);
  canvas.addEventListener('pointerleave', () => { if (!down) on.leave(); }, until);
  canvas.addEventListener('dblclick', (e) => {
    clearTimeout(clickTimer);
    e.preventDefault();
    on.back();
  }, until);
  canvas.addEventListener('wheel', (e) => {
    e.preventDefault();
    const unit = e.deltaMode === 1 ? 16 : e.deltaMode === 2 ? 400 : 1;
    const [dx, dy] = e.shiftKey && e.deltaX !== 0 && e.deltaY === 0 ? [0, e.deltaX * unit] : [e.deltaX * unit, e.deltaY * unit];
    if (Math.abs(dx) > Math.abs(dy)) on.drag(-dx, 0);
    else on.wheel(at(e), Math.exp(Math.max(-240, Math.min(240, dy)) * 0.0022), e.shiftKey);
  }, { passive: false, signal: gone.signal });

  canvas.addEventListener('keydown', (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const step = e.shiftKey ? 10 : 1;
    const arrow = ARROWS[e.key];
    if (arrow) on.moveCursor(arrow[0] * step, arrow[1] * step);
    else if (e.key === 'Home') on.moveCursor(0, -Infinity);
    else if (e.key === 'End') on.moveCursor(0, Infinity);
    else if (e.key === 'PageUp') on.moveCursor(-Infinity, 0);
    else if (e.key === 'PageDown') on.moveCursor(Infinity, 0);
    else if (e.key === 'Enter' || e.key === ' ') on.enter();
    else return;
    e.preventDefault();
  }, until);

  const keys: Record<string, () => void> = {
    '?': () => on.help(),
    m: () => on.largest(),
    M: () => on.largest(),
    '+': () => on.zoomIn(false),
    '=': () => on.zoomIn(false),
    '-': () => on.zoomOut(false),
    '*': () => on.zoomIn(true),
    _: () => on.zoomOut(true),
    '[': () => on.shift(-0.5, false),
    ']': () => on.shift(0.5, false),
    '{': () => on.shift(-0.5, true),
    '}': () => on.shift(0.5, true),
    '/': () => on.search(),
    t: () => on.table(),
    Backspace: () => on.back(),
  };
  document.addEventListener('keydown', (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return;
    if (e.target instanceof Element && e.target.closest('input, select, textarea, dialog')) return;
    if (e.key === 'Escape') {
      if (dragging) cancel();
      else on.escape();
    } else if (Object.hasOwn(keys, e.key)) keys[e.key]();
    else return;
    e.preventDefault();
  }, until);

  return () => {
    clearTimeout(clickTimer);
    gone.abort();
  };
}
