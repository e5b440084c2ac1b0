// The style sheet's colours and fonts for canvases, and canvases at the device's resolution.

export interface Theme {
  bg: string; panel: string; fg: string; dim: string; line: string; faint: string; accent: string; warn: string;
  missing: string; missingInk: string; pendingInk: string; sans: string; mono: string;
}

export function readTheme(): Theme {
  const style = getComputedStyle(document.documentElement);
  const get = (name: string): string => style.getPropertyValue(name).trim();
  return {
    bg: get('--bg'), panel: get('--panel'), fg: get('--fg'), dim: get('--dim'), line: get('--line'), faint: get('--faint'),
    accent: get('--accent'), warn: get('--warn'), missing: get('--missing'), missingInk: get('--missing-ink'),
    pendingInk: get('--pending-ink'), sans: get('--sans'), mono: get('--mono'),
  };
}

export interface Box { x: number; y: number; w: number; h: number }

/** A canvas of `width` x `height` CSS pixels, cleared. */
export function fitCanvas(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const dpr = window.devicePixelRatio || 1;
  const w = Math.max(1, Math.round(width * dpr));
  const h = Math.max(1, Math.round(height * dpr));
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const ctx = canvas.getContext('2d');
  if (!ctx) throw new Error('this browser has no 2D canvas');
  ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return ctx;
}
