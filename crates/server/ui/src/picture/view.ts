// Where one looks: a span of time by a span of rows, and the arithmetic of moving and zooming it.
// Pure; must not know pixels beyond fractions of the plot.

import { compareBytes, fromHex, hexOf, urlBound } from '../model/keys';
import type { Model, Row } from '../model/answer';

/** Time in Unix ms, rows as (fractional) indices into the model's rows. */
export interface View { from: number; to: number; y0: number; y1: number }

export const MIN_VIEW_MS = 1000;
const MAX_VIEW_MS = 400 * 86_400_000;

/** Zooms by `factor` (below 1 = in) around the point at fraction `at` of the axis. */
export function zoomTime(v: View, factor: number, at: number): View {
  const length = Math.min(MAX_VIEW_MS, Math.max(MIN_VIEW_MS, (v.to - v.from) * factor));
  const fixed = v.from + at * (v.to - v.from);
  return { ...v, from: fixed - at * length, to: fixed + (1 - at) * length };
}

export function zoomRows(v: View, factor: number, at: number, rows: number): View {
  const length = Math.min(rows, Math.max(Math.min(1, rows), (v.y1 - v.y0) * factor));
  const fixed = v.y0 + at * (v.y1 - v.y0);
  return clampRows({ ...v, y0: fixed - at * length, y1: fixed + (1 - at) * length }, rows);
}

/** Keeps the rows of a view inside the model. */
export function clampRows(v: View, rows: number): View {
  const length = Math.min(rows, v.y1 - v.y0);
  const y0 = Math.max(0, Math.min(rows - length, v.y0));
  return { ...v, y0, y1: y0 + length };
}

/** Moves by fractions of the plot; time ends at `latest`, and at least a tenth of the view stays before it. */
export function pan(v: View, dx: number, dy: number, rows: number, latest: number): View {
  const span = v.to - v.from;
  const shift = Math.max(-v.from, Math.min(dx * span, latest + span * 0.9 - v.to));
  const rowShift = dy * (v.y1 - v.y0);
  return clampRows({ from: v.from + shift, to: v.to + shift, y0: v.y0 + rowShift, y1: v.y1 + rowShift }, rows);
}

const beforeEnd = (a: Uint8Array, end: Uint8Array): boolean => end.length === 0 || compareBytes(a, end) < 0;

/** The rows that overlap `[start, end)` (hexadecimal, empty = open), as a half-open span of indices. */
export function rowsOf(m: Model, start: string, end: string): [number, number] {
  const n = m.rows.length;
  if (!start && !end) return [0, n];
  const low = fromHex(start) ?? new Uint8Array(0);
  const high = fromHex(end) ?? new Uint8Array(0);
  const overlaps = (row: Row): boolean => beforeEnd(low, row.end) && beforeEnd(row.start, high);
  let y0 = m.rows.findIndex(overlaps);
  let y1 = m.rows.findLastIndex(overlaps) + 1;
  if (y0 < 0) [y0, y1] = [0, n];
  return [y0, y1];
}

/** The keys of whole rows `[y0, y1)`, hexadecimal and short enough for a URL; empty where it is open. */
export function keysOf(m: Model, y0: number, y1: number): { start: string; end: string } {
  const n = m.rows.length;
  if (n === 0 || (y0 <= 0 && y1 >= n)) return { start: '', end: '' };
  const first = m.rows[Math.max(0, Math.min(n - 1, y0))];
  const last = m.rows[Math.max(0, Math.min(n - 1, y1 - 1))];
  return { start: hexOf(urlBound(first.start, false)), end: last.openEnd ? '' : hexOf(urlBound(last.end, true)) };
}

/** Whole rows around a view. */
export const wholeRows = (v: View): [number, number] => [Math.floor(v.y0 + 1e-6), Math.ceil(v.y1 - 1e-6)];
