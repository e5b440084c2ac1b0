// One series of windows (the column totals) as a step chart with true gaps.
// Draws into a given context and box; must not fetch and must not look at the document.

import type { Box, Theme } from './theme';

/** Pools windows to pixels: largest value of each pixel, NaN where nothing was recorded. */
export function poolSeries(values: ArrayLike<number>, known: (column: number) => boolean, first: number, perPixel: number, width: number): Float64Array {
  const out = new Float64Array(width).fill(NaN);
  for (let x = 0; x < width; x++) {
    const low = Math.floor(perPixel > 1 ? first + x * perPixel : first + (x + 0.5) * perPixel);
    const high = perPixel > 1 ? Math.floor(first + (x + 1) * perPixel) : low + 1;
    for (let c = Math.max(0, low), stop = Math.min(values.length, high); c < stop; c++) {
      if (known(c) && !(values[c] <= out[x])) out[x] = values[c];
    }
  }
  return out;
}

/** Runs of pixels where something was recorded. */
function runs(pooled: Float64Array): [number, number][] {
  const list: [number, number][] = [];
  for (let x = 0; x < pooled.length; x++) {
    if (Number.isNaN(pooled[x])) continue;
    const last = list[list.length - 1];
    if (last && last[1] === x) last[1] = x + 1;
    else list.push([x, x + 1]);
  }
  return list;
}

/** A round top for the value axis. */
export function niceTop(max: number, bytes = false): number {
  if (!(max > 0)) return 1;
  const base = bytes && max >= 1024 ? 1024 ** Math.floor(Math.log2(max) / 10) : 1;
  const mag = base * 10 ** Math.floor(Math.log10(max / base));
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((k) => k * mag).find((v) => v >= max * 0.999) ?? max;
}

export interface Stroke { stroke?: string; fill?: string; width?: number; dash?: number[] }

export function drawSteps(ctx: CanvasRenderingContext2D, box: Box, pooled: Float64Array, top: number, style: Stroke): void {
  const yOf = (v: number): number => box.y + box.h - Math.min(1, v / top) * box.h;
  const unit = box.w / pooled.length;
  for (const [a, b] of runs(pooled)) {
    ctx.beginPath();
    ctx.moveTo(box.x + a * unit, style.fill ? box.y + box.h : yOf(pooled[a]));
    for (let x = a; x < b; x++) {
      ctx.lineTo(box.x + x * unit, yOf(pooled[x]));
      ctx.lineTo(box.x + (x + 1) * unit, yOf(pooled[x]));
    }
    if (style.fill) {
      ctx.lineTo(box.x + b * unit, box.y + box.h);
      ctx.closePath();
      ctx.fillStyle = style.fill;
      ctx.fill();
    }
    if (style.stroke) {
      ctx.strokeStyle = style.stroke;
      ctx.lineWidth = style.width ?? 1;
      ctx.setLineDash(style.dash ?? []);
      ctx.stroke();
      ctx.setLineDash([]);
    }
  }
}

/** Hatches the pixels where nothing was recorded, as the picture does. */
export function drawGaps(ctx: CanvasRenderingContext2D, box: Box, pixels: number, isGap: (x: number) => boolean, theme: Theme): void {
  const unit = box.w / pixels;
  let start = -1;
  for (let x = 0; x <= pixels; x++) {
    const gap = x < pixels && isGap(x);
    if (gap && start < 0) start = x;
    if (!gap && start >= 0) {
      hatch(ctx, box.x + start * unit, box.y, Math.max(1, (x - start) * unit), box.h, theme);
      start = -1;
    }
  }
}

export function hatch(ctx: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, theme: Theme): void {
  ctx.save();
  ctx.beginPath();
  ctx.rect(x, y, w, h);
  ctx.clip();
  ctx.fillStyle = theme.missing;
  ctx.fillRect(x, y, w, h);
  ctx.strokeStyle = theme.missingInk;
  ctx.lineWidth = 1.4;
  ctx.beginPath();
  for (let s = Math.floor((x + y) / 6) * 6; s < x + w + y + h + 6; s += 6) {
    ctx.moveTo(s - y, y);
    ctx.lineTo(s - y - h, y + h);
  }
  ctx.stroke();
  ctx.restore();
}
