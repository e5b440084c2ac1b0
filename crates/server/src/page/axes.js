// axes.js: ticks of the time axis and of the key axis, and how they are drawn.
// Must not know what a cell means; works from a view [from, to) and a list of row labels.

import { parts, clock, zoneName, offsetMinutes, WEEKDAY, MONTH } from './format.js';
import { middle } from './keys.js';

const STEPS = [
  1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3,
  3600e3, 7200e3, 10800e3, 21600e3, 43200e3, 86400e3, 172800e3, 604800e3, 1209600e3, 2592000e3, 7776000e3, 31536000e3,
];

/** Ticks at round times of the chosen clock: { step, list: [{ ms, text, day }] }; `day` starts a new date. */
export function timeTicks(view, width, tz) {
  const span = view.to - view.from;
  const pitch = 86;
  const step = STEPS.find((s) => (s / span) * width >= pitch) ?? STEPS[STEPS.length - 1];
  const list = [];
  const local = (ms) => ms + offsetMinutes(ms, tz) * 60000;
  let lt = Math.ceil(local(view.from) / step) * step;
  for (let guard = 0; guard < 400; guard++, lt += step) {
    let ms = lt - offsetMinutes(lt, tz) * 60000;
    ms += lt - local(ms);
    if (ms >= view.to) break;
    if (ms < view.from) continue;
    const p = parts(ms, tz);
    const midnight = p.hour === 0 && p.minute === 0 && p.second === 0;
    const day = `${p.year}-${p.month}-${p.day}`;
    const previous = list[list.length - 1];
    const newDay = !previous || previous.dayKey !== day;
    list.push({
      ms, dayKey: day, midnight, newDay,
      text: step >= 86400e3 ? `${p.day} ${MONTH[p.month]}` : clock(ms, tz, step < 60000),
      date: step >= 86400e3 ? `${WEEKDAY[p.weekday]}` : `${WEEKDAY[p.weekday]} ${p.day} ${MONTH[p.month]} ${p.year}`,
    });
  }
  return { step, list };
}

/** The time axis under `box`: ticks, times, dates where they change, and the zone's name. */
export function drawTimeAxis(ctx, box, view, tz, theme, gridFrom) {
  const { list, step } = timeTicks(view, box.w, tz);
  ctx.font = `11px ${theme.sans}`;
  ctx.textBaseline = 'top';
  ctx.textAlign = 'left';
  const xOf = (ms) => box.x + ((ms - view.from) / (view.to - view.from)) * box.w;
  const zone = zoneName(view.from, tz);
  let lastDateEnd = -Infinity;
  for (const t of list) {
    const x = Math.round(xOf(t.ms)) + 0.5;
    ctx.strokeStyle = t.midnight ? theme.fg : theme.line;
    ctx.beginPath();
    ctx.moveTo(x, gridFrom);
    ctx.lineTo(x, box.y + 5);
    ctx.stroke();
    ctx.fillStyle = theme.fg;
    const w = ctx.measureText(t.text).width;
    const left = Math.min(Math.max(x - w / 2, box.x - 20), box.x + box.w - w + 8);
    ctx.fillText(t.text, left, box.y + 8);
    if (step >= 86400e3 || t.newDay) {
      const first = t === list[0];
      const text = first && step < 86400e3 ? `${t.date} ${zone}` : t.date;
      ctx.fillStyle = theme.dim;
      const dw = ctx.measureText(text).width;
      const at = Math.min(left, box.x + box.w - dw + 8);
      if (at > lastDateEnd + 12) {
        ctx.fillText(text, at, box.y + 22);
        lastDateEnd = at + dw;
      }
    }
  }
  if (step >= 86400e3 || list.length === 0) {
    const p = parts(view.from, tz);
    ctx.fillStyle = theme.dim;
    ctx.textAlign = 'right';
    ctx.fillText(list.length ? `${p.year} ${zone}` : `${p.day} ${MONTH[p.month]} ${p.year} ${clock(view.from, tz)} ${zone}`, list.length ? box.x - 8 : box.x + box.w, box.y + 8);
  }
}

/** Which rows get a label: all when they fit, else evenly many, always the first. */
export function labelRows(count, height, pitch = 15) {
  if (count === 0) return [];
  const h = height / count;
  if (h >= pitch) return Array.from({ length: count }, (_, r) => ({ row: r, y: (r + 0.5) * h, each: true }));
  const stride = Math.ceil(pitch * 1.25 / h);
  const out = [];
  for (let r = 0; r < count; r += stride) out.push({ row: r, y: r * h, each: false });
  return out;
}

/** Width that the labels want, between `min` and `max` pixels. */
export function gutterWidth(ctx, labels, theme, min, max) {
  ctx.font = `11px ${theme.mono}`;
  const w = ctx.measureText('0').width;
  let widest = 0;
  for (const text of labels) widest = Math.max(widest, [...text].length);
  return Math.round(Math.max(min, Math.min(max, widest * w + 18)));
}

/** The key axis left of `box`: row starts in key order, a tick at the row's upper edge where rows are thin. */
export function drawKeyAxis(ctx, box, gutter, rows, theme) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(0, box.y - 8, gutter, box.h + 16);
  ctx.clip();
  ctx.direction = 'ltr';
  ctx.font = `11px ${theme.mono}`;
  ctx.textAlign = 'right';
  const room = Math.floor((gutter - 14) / ctx.measureText('0').width);
  for (const { row, y, each } of labelRows(rows.length, box.h)) {
    const at = box.y + y;
    if (!each) {
      ctx.strokeStyle = theme.line;
      ctx.beginPath();
      ctx.moveTo(gutter - 4, Math.round(at) + 0.5);
      ctx.lineTo(gutter, Math.round(at) + 0.5);
      ctx.stroke();
    }
    ctx.textBaseline = each ? 'middle' : row === 0 ? 'top' : 'middle';
    ctx.fillStyle = rows[row].closed ? theme.dim : theme.fg;
    ctx.fillText(middle(rows[row].label, room), gutter - 8, at, gutter - 10);
  }
  ctx.restore();
}
