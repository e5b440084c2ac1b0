// Rows of the picture as CSV and as a table: the numbers behind the colours.
// Must not build elements.

import { cellValues, FLAG, FLAG_NAMES, STATE, STATE_WORDS, type Model } from '../model/answer';
import { dateTime } from '../model/format';
import { hexOf } from '../model/keys';
import { csvField } from './save';

export interface Span { row0: number; row1: number; col0: number; col1: number }

/** Cells of a span of rows and columns, one a line; keys in hexadecimal, exact. */
export function cellsAsCsv(m: Model, series: string, span: Span): string {
  const lines = ['window_utc,window_unix_ms,step_ms,start_hex,end_hex,bucket,lineage_id,series,value,max,inherited,state,flags'];
  for (let r = span.row0; r < span.row1; r++) {
    const row = m.rows[r];
    const who = [hexOf(row.start), hexOf(row.end), csvField(row.bucket), row.lineage, series].join();
    for (let c = span.col0; c < span.col1; c++) {
      const v = cellValues(m, r, c);
      if (v.state === STATE.nonexistent) continue;
      const ms = m.t0 + c * m.step;
      const flags = FLAG_NAMES.filter((name) => v.flags & FLAG[name]).join(' ');
      lines.push([dateTime(ms, 'utc'), ms, m.step, who, v.value, v.max ?? v.value, v.inherited, STATE_WORDS[v.state][0], flags].join());
    }
  }
  return `${lines.join('\n')}\n`;
}

export interface RowSummary { row: number; total: number; share: number; peak: number; peakAt: number; missing: number }

/** The rows of a span, the busiest first: total, share of all, largest cell and when, windows that are missing. */
export function summarise(m: Model, values: Float64Array, span: Span): RowSummary[] {
  let all = 0;
  for (let c = span.col0; c < span.col1; c++) all += m.totals.recorded[c];
  const out: RowSummary[] = [];
  for (let r = span.row0; r < span.row1; r++) {
    const s: RowSummary = { row: r, total: 0, share: 0, peak: 0, peakAt: 0, missing: 0 };
    for (let c = span.col0; c < span.col1; c++) {
      const k = r * m.n + c;
      s.total += m.values[k];
      if (values[k] > s.peak) [s.peak, s.peakAt] = [values[k], m.t0 + c * m.step];
      if (m.state[k] === STATE.missing) s.missing++;
    }
    s.share = all > 0 ? s.total / all : 0;
    out.push(s);
  }
  return out.sort((a, b) => b.total - a.total || a.row - b.row);
}
