// legend.js: the colour bar with its numbers, and swatches for only the states and flags in view.
// Must not decide what is in view; it is told.

import { el, fill, fitCanvas } from './dom.js';
import { css, inkOn, scaleMarks, tableOf } from './colour.js';
import { FLAG, FLAG_WORDS, STATE } from './model.js';
import { MARK, TILE, tileOf } from './pattern.js';
import { compact, duration, exact, SERIES } from './format.js';

const SWATCH = { w: 26, h: 13 };

function swatch(ground, ink, mask, border) {
  const canvas = el('canvas', { 'aria-hidden': 'true' });
  const ctx = fitCanvas(canvas, SWATCH.w, SWATCH.h);
  ctx.fillStyle = ground;
  ctx.fillRect(0, 0, SWATCH.w, SWATCH.h);
  const tile = tileOf(mask);
  if (tile) {
    ctx.fillStyle = ink;
    for (let y = 0; y < SWATCH.h; y++) for (let x = 0; x < SWATCH.w; x++) if (tile[(y % TILE) * TILE + (x % TILE)]) ctx.fillRect(x, y, 1, 1);
  }
  if (border) {
    ctx.strokeStyle = border;
    ctx.strokeRect(0.5, 0.5, SWATCH.w - 1, SWATCH.h - 1);
  }
  return canvas;
}

function item(canvas, name, why) {
  return el('li', { title: why }, canvas, el('span', null, name));
}

function bar(scale, palette, bytes, width) {
  const canvas = el('canvas', { 'aria-hidden': 'true' });
  const height = 30;
  const style = getComputedStyle(document.documentElement);
  const ctx = fitCanvas(canvas, width, height);
  const pad = 4;
  const w = width - 2 * pad;
  for (let x = 0; x < w; x++) {
    ctx.fillStyle = css(palette[scale.entry(x / (w - 1))]);
    ctx.fillRect(pad + x, 0, Math.min(2, w - x), 12); // overlaps the next: no seams at fractional resolutions
  }
  ctx.font = `11px ${style.getPropertyValue('--sans')}`;
  ctx.textBaseline = 'top';
  const marks = scaleMarks(scale, w, bytes);
  marks.forEach((v, i) => {
    const last = i === marks.length - 1;
    const x = pad + scale.fraction(v) * w;
    const text = compact(v, bytes);
    const half = ctx.measureText(text).width / 2;
    ctx.fillStyle = style.getPropertyValue('--dim');
    ctx.fillRect(Math.min(width - pad - 1, Math.round(x)), 12, 1, 4);
    ctx.fillStyle = style.getPropertyValue(last ? '--fg' : '--dim');
    ctx.textAlign = 'left';
    ctx.fillText(text, Math.max(0, Math.min(width - 2 * half, x - half)), 18);
  });
  return canvas;
}

/** `info`: { scale, found, pooled, opts, model, theme, anyLost, room }. */
export function drawLegend(node, { scale, found, pooled, opts, model, theme, anyLost, room }) {
  const palette = tableOf(opts.palette);
  const { unit, bytes } = SERIES[opts.series];
  const peak = opts.value === 'peak' && model.max;
  const title = peak ? `${unit}, largest ${duration(model.recordedStep)} window` : `${unit} per ${duration(model.step)}`;
  const has = (s) => (found.states & (1 << s)) !== 0;
  const mid = palette[96];
  const marked = (mask) => swatch(css(mid), css(inkOn(mid)), mask);
  const items = [];
  if (has(STATE.idle)) items.push(item(swatch(css(palette[0]), '', 0, theme.line), 'no traffic', 'recorded, no traffic'));
  if (has(STATE.missing)) items.push(item(swatch(theme.missing, theme.missingInk, MARK.missing), 'missing', 'no expected source recorded the window'));
  if (has(STATE.pending)) items.push(item(swatch(theme.bg, theme.pendingInk, MARK.pending, theme.line), 'pending', 'the window has just ended, a source is still out'));
  if (has(STATE.nonexistent)) items.push(item(swatch(theme.bg, '', 0, theme.line), 'did not exist', 'no lineage of the range was alive'));
  const partial = has(STATE.partial) || (found.flags & FLAG.partial) !== 0 || (pooled && has(STATE.missing));
  if (partial) items.push(item(marked(FLAG.partial), 'partial', FLAG_WORDS.partial[1]));
  for (const [name, bit] of Object.entries(FLAG)) {
    if (name !== 'partial' && found.flags & bit) items.push(item(marked(bit), FLAG_WORDS[name][0], FLAG_WORDS[name][1]));
  }
  if (anyLost) {
    const canvas = el('canvas', { 'aria-hidden': 'true' });
    const ctx = fitCanvas(canvas, SWATCH.w, SWATCH.h);
    ctx.strokeStyle = theme.warn;
    ctx.setLineDash([3, 2]);
    ctx.lineWidth = 1.5;
    ctx.beginPath();
    ctx.moveTo(0, 6.5);
    ctx.lineTo(SWATCH.w, 6.5);
    ctx.stroke();
    items.push(item(canvas, 'unattributed', 'operations on no known range, in the strip below'));
  }
  fill(node,
    el('div.scale', null,
      el('span.unit', null, title),
      found.max > 0
        ? bar(scale, palette, bytes, Math.max(140, Math.min(340, room * 0.3)))
        : el('span.dim', null, 'no traffic in view'),
      found.max > 0 && el('span.max', { title: 'The largest value in view' }, 'max ', el('b', null, exact(found.max)))),
    el('ul.swatches', null, items));
}
