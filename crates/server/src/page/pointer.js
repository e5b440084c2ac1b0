// pointer.js: mouse, touch and keyboard on the picture, turned into intentions (hover, select, pin, zoom out, move).
// Must not know data, URL or drawing; reports through the handlers it is given.

const DRAG = 5;
const DOUBLE_MS = 220;

export function attachPointer(canvas, on) {
  let down = null;
  let dragging = false;
  let clickTimer = 0;
  const at = (e) => {
    const box = canvas.getBoundingClientRect();
    return { x: e.clientX - box.left, y: e.clientY - box.top, pageX: e.clientX, pageY: e.clientY };
  };

  canvas.addEventListener('pointerdown', (e) => {
    if (e.button !== 0) return;
    down = { ...at(e), shift: e.shiftKey };
    dragging = false;
    canvas.setPointerCapture(e.pointerId);
  });

  canvas.addEventListener('pointermove', (e) => {
    const p = at(e);
    if (down && !dragging && Math.hypot(p.x - down.x, p.y - down.y) > DRAG) dragging = on.canSelect(down);
    if (dragging) on.select(down, p, down.shift || e.shiftKey, false);
    else if (!down || e.pointerType === 'mouse') on.hover(p);
  });

  canvas.addEventListener('pointerup', (e) => {
    const p = at(e);
    const was = down;
    down = null;
    if (!was) return;
    if (dragging) {
      dragging = false;
      on.select(was, p, was.shift || e.shiftKey, true);
    } else if (Math.hypot(p.x - was.x, p.y - was.y) <= DRAG) {
      clearTimeout(clickTimer);
      if (e.pointerType !== 'mouse') on.hover(p);
      clickTimer = setTimeout(() => on.click(p), DOUBLE_MS);
    }
  });

  const cancel = () => {
    if (dragging) on.selectCancel();
    down = null;
    dragging = false;
  };
  canvas.addEventListener('pointercancel', cancel);
  canvas.addEventListener('pointerleave', () => { if (!down) on.leave(); });
  canvas.addEventListener('dblclick', (e) => {
    clearTimeout(clickTimer);
    e.preventDefault();
    on.zoomOut();
  });

  const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  canvas.addEventListener('keydown', (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const step = e.shiftKey ? 10 : 1;
    if (ARROWS[e.key]) on.move(ARROWS[e.key][0] * step, ARROWS[e.key][1] * step);
    else if (e.key === 'Home') on.move(0, -Infinity);
    else if (e.key === 'End') on.move(0, Infinity);
    else if (e.key === 'PageUp') on.move(-Infinity, 0);
    else if (e.key === 'PageDown') on.move(Infinity, 0);
    else if (e.key === 'Enter' || e.key === ' ') on.enter();
    else return;
    e.preventDefault();
  });

  document.addEventListener('keydown', (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return;
    if (e.target.closest?.('input, select, textarea, dialog')) return;
    if (e.key === 'Escape') {
      if (dragging) { cancel(); return; }
      on.escape();
    } else if (e.key === '?') on.help();
    else if (e.key === 'm' || e.key === 'M') on.largest();
    else if (e.key === '+' || e.key === '=') on.zoomIn();
    else if (e.key === '-') on.zoomOut();
    else if (e.key === '[') on.pan(-0.5);
    else if (e.key === ']') on.pan(0.5);
    else return;
    e.preventDefault();
  });
}
