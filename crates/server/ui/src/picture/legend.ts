// Draws the legend: the colour bar with its numbers, and swatches of the states and flags that are in view.
// Must not decide what is in view; it is told. Also drawn into a downloaded picture.

import { compact } from '../model/format';
import { FLAG, FLAG_NAMES, FLAG_WORDS, STATE } from '../model/answer';
import { css, inkOn, scaleMarks, tableOf, type Scale } from './colour';
import { MARK, TILE, tileOf } from './pattern';
import { flagsOf, stateBit } from './pyramid';
import type { Theme } from './theme';

export const SWATCH = { w: 26, h: 13 };
export const BAR_HEIGHT = 30;

export interface LegendItem { name: string; why: string; ground: string; ink: string; mask: number; border: boolean; dashed?: boolean }

export function legendItems(marks: number, anyLost: boolean, palette: string, theme: Theme): LegendItem[] {
  const table = tableOf(palette);
  const mid = table[96];
  const has = (s: number): boolean => (marks & stateBit(s)) !== 0;
  const items: LegendItem[] = [];
  const add = (name: string, why: string, ground: string, ink: string, mask: number, border = false): void => {
    items.push({ name, why, ground, ink, mask, border });
  };
  if (has(STATE.idle)) add('no traffic', 'recorded, no traffic', css(table[0]), '', 0, true);
  if (has(STATE.missing)) add('missing', 'no expected source recorded the window', theme.missing, theme.missingInk, MARK.missing);
  if (has(STATE.pending)) add('pending', 'the window has just ended, a source is still out', theme.bg, theme.pendingInk, MARK.pending, true);
  if (has(STATE.nonexistent)) add('did not exist', 'no lineage of the range was alive', theme.bg, '', 0, true);
  const recorded = has(STATE.measured) || has(STATE.idle) || has(STATE.partial);
  const flags = recorded ? marks >> 6 | (has(STATE.partial) ? flagsOf(marks) : 0) : 0;
  for (const name of FLAG_NAMES) {
    if (flags & FLAG[name]) add(FLAG_WORDS[name][0], FLAG_WORDS[name][1], css(mid), css(inkOn(mid)), FLAG[name]);
  }
  if (anyLost) items.push({ name: 'unattributed', why: 'operations on no known range, in the strip below', ground: '', ink: theme.warn, mask: 0, border: false, dashed: true });
  return items;
}

export function drawSwatch(ctx: CanvasRenderingContext2D, item: LegendItem, x: number, y: number, theme: Theme): void {
  if (item.dashed) {
    ctx.strokeStyle = item.ink;
    ctx.setLineDash([3, 2]);
    ctx.lineWidth = 1.5;
    ctx.beginPath();
    ctx.moveTo(x, y + SWATCH.h / 2);
    ctx.lineTo(x + SWATCH.w, y + SWATCH.h / 2);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.lineWidth = 1;
    return;
  }
  ctx.fillStyle = item.ground;
  ctx.fillRect(x, y, SWATCH.w, SWATCH.h);
  const tile = tileOf(item.mask);
  if (tile) {
    ctx.fillStyle = item.ink;
    for (let j = 0; j < SWATCH.h; j++) {
      for (let i = 0; i < SWATCH.w; i++) if (tile[(j % TILE) * TILE + (i % TILE)]) ctx.fillRect(x + i, y + j, 1, 1);
    }
  }
  if (item.border) {
    ctx.strokeStyle = theme.line;
    ctx.strokeRect(x + 0.5, y + 0.5, SWATCH.w - 1, SWATCH.h - 1);
  }
}

/** The bar at (0, 0): 12 pixels of colour, a tick and a number for each mark. */
export function drawBar(ctx: CanvasRenderingContext2D, scale: Scale, palette: string, bytes: boolean, width: number, theme: Theme): void {
  const table = tableOf(palette);
  const pad = 4;
  const w = width - 2 * pad;
  for (let x = 0; x < w; x++) {
    // By place, so that a brighter scale shows more of the bright end.
    ctx.fillStyle = css(table[scale.entry(x / (w - 1))]);
    ctx.fillRect(pad + x, 0, Math.min(2, w - x), 12);
  }
  ctx.font = `11px ${theme.sans}`;
  ctx.textBaseline = 'top';
  ctx.textAlign = 'left';
  const marks = scaleMarks(scale, w, bytes);
  marks.forEach((v, i) => {
    const x = pad + (v >= 1 ? scale.fraction(v) : 0) * w;
    const text = compact(v, bytes);
    const half = ctx.measureText(text).width / 2;
    ctx.fillStyle = theme.dim;
    ctx.fillRect(Math.min(width - pad - 1, Math.round(x)), 12, 1, 4);
    ctx.fillStyle = i === marks.length - 1 ? theme.fg : theme.dim;
    ctx.fillText(text, Math.max(0, Math.min(width - 2 * half, x - half)), 18);
  });
}
