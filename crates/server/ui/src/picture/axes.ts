// Ticks of the time axis and of the key axis, and how they are drawn.
// Must not know what a cell means; works from a view and a list of row labels.

import { clock, MONTH, offsetMinutes, parts, WEEKDAY, zoneName } from '../model/format';
import { middle } from '../model/keys';
import type { Row } from '../model/answer';
import type { Box, Theme } from './theme';

const STEPS = [
  1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3,
  3600e3, 7200e3, 10800e3, 21600e3, 43200e3, 86400e3, 172800e3, 604800e3, 1209600e3, 2592000e3, 7776000e3, 31536000e3,
];

export interface Tick { ms: number; text: string; date: string; midnight: boolean; newDay: boolean }

/** Ticks at round times of the chosen clock; `newDay` starts a new date. */
export function timeTicks(from: number, to: number, width: number, tz: string): { step: number; list: Tick[] } {
  const pitch = 86;
  const step = STEPS.find((s) => (s / (to - from)) * width >= pitch) ?? STEPS[STEPS.length - 1];
  const list: Tick[] = [];
  const local = (ms: number): number => ms + offsetMinutes(ms, tz) * 60000;
  let previous = '';
  let lt = Math.ceil(local(from) / step) * step;
  for (let guard = 0; guard < 400; guard++, lt += step) {
    let ms = lt - offsetMinutes(lt, tz) * 60000;
    ms += lt - local(ms);
    if (ms >= to) break;
    if (ms < from) continue;
    const p = parts(ms, tz);
    const day = `${p.year}-${p.month}-${p.day}`;
    list.push({
      ms,
      midnight: p.hour === 0 && p.minute === 0 && p.second === 0,
      newDay: previous !== day,
      text: step >= 86400e3 ? `${p.day} ${MONTH[p.month]}` : clock(ms, tz, step < 60000),
      date: step >= 86400e3 ? WEEKDAY[p.weekday] : `${WEEKDAY[p.weekday]} ${p.day} ${MONTH[p.month]} ${p.year}`,
    });
    previous = day;
  }
  return { step, list };
}

/** The time axis under `box`: ticks, times, dates where they change, and the zone's name. */
export function drawTimeAxis(ctx: CanvasRenderingContext2D, box: Box, from: number, to: number, tz: string, theme: Theme): void {
  const { list, step } = timeTicks(from, to, box.w, tz);
  ctx.font = `11px ${theme.sans}`;
  ctx.textBaseline = 'top';
  ctx.textAlign = 'left';
  const zone = zoneName(from, tz);
  let lastDateEnd = -Infinity;
  for (const t of list) {
    const x = Math.round(box.x + ((t.ms - from) / (to - from)) * box.w) + 0.5;
    ctx.strokeStyle = t.midnight ? theme.fg : theme.line;
    ctx.beginPath();
    ctx.moveTo(x, box.y);
    ctx.lineTo(x, box.y + 5);
    ctx.stroke();
    ctx.fillStyle = theme.fg;
    const w = ctx.measureText(t.text).width;
    const left = Math.min(Math.max(x - w / 2, box.x - 20), box.x + box.w - w + 8);
    ctx.fillText(t.text, left, box.y + 8);
    if (step < 86400e3 && !t.newDay) continue;
    const text = t === list[0] && step < 86400e3 ? `${t.date} ${zone}` : t.date;
    ctx.fillStyle = theme.dim;
    const dw = ctx.measureText(text).width;
    const at = Math.min(left, box.x + box.w - dw + 8);
    if (at > lastDateEnd + 12) {
      ctx.fillText(text, at, box.y + 22);
      lastDateEnd = at + dw;
    }
  }
  if (step >= 86400e3 || list.length === 0) {
    const p = parts(from, tz);
    ctx.fillStyle = theme.dim;
    ctx.textAlign = 'right';
    const text = list.length ? `${p.year} ${zone}` : `${p.day} ${MONTH[p.month]} ${p.year} ${clock(from, tz)} ${zone}`;
    ctx.fillText(text, list.length ? box.x - 8 : box.x + box.w, box.y + 8);
  }
}

export interface RowLabel { row: number; y: number; each: boolean }

/** Which rows `[y0, y1)` get a label: all when they fit, else evenly many. */
export function labelRows(y0: number, y1: number, height: number, pitch = 15): RowLabel[] {
  const h = height / (y1 - y0);
  const out: RowLabel[] = [];
  if (!(y1 > y0)) return out;
  if (h >= pitch) {
    for (let r = Math.floor(y0); r < y1; r++) {
      // The label of a row that is cut off stays in the part that is in view.
      const middle = (Math.max(y0, r) + Math.min(y1, r + 1)) / 2;
      if (Math.min(y1, r + 1) - Math.max(y0, r) > 0.3) out.push({ row: r, y: (middle - y0) * h, each: true });
    }
    return out;
  }
  const stride = Math.ceil((pitch * 1.25) / h);
  for (let r = Math.ceil(y0 / stride) * stride; r < y1; r += stride) out.push({ row: r, y: (r - y0) * h, each: false });
  return out;
}

/** Width that the labels want, between `min` and `max` pixels. */
export function gutterWidth(ctx: CanvasRenderingContext2D, labels: string[], theme: Theme, min: number, max: number): number {
  ctx.font = `11px ${theme.mono}`;
  const w = ctx.measureText('0').width;
  let widest = 0;
  for (const text of labels) widest = Math.max(widest, [...text].length);
  return Math.round(Math.max(min, Math.min(max, widest * w + 18)));
}

/** The key axis left of `box`: row starts in key order, a tick at the row's upper edge where rows are thin. */
export function drawKeyAxis(ctx: CanvasRenderingContext2D, box: Box, gutter: number, rows: Row[], y0: number, y1: number, theme: Theme): void {
  ctx.save();
  ctx.beginPath();
  ctx.rect(0, box.y - 8, gutter, box.h + 16);
  ctx.clip();
  ctx.direction = 'ltr';
  ctx.font = `11px ${theme.mono}`;
  ctx.textAlign = 'right';
  const room = Math.floor((gutter - 14) / ctx.measureText('0').width);
  for (const { row, y, each } of labelRows(y0, y1, box.h)) {
    if (!rows[row]) continue;
    const at = box.y + y;
    if (!each) {
      ctx.strokeStyle = theme.line;
      ctx.beginPath();
      ctx.moveTo(gutter - 4, Math.round(at) + 0.5);
      ctx.lineTo(gutter, Math.round(at) + 0.5);
      ctx.stroke();
    }
    ctx.textBaseline = each || y > 6 ? 'middle' : 'top';
    ctx.fillStyle = rows[row].closed ? theme.dim : theme.fg;
    ctx.fillText(middle(rows[row].startText, room), gutter - 8, at, gutter - 10);
  }
  ctx.restore();
}
