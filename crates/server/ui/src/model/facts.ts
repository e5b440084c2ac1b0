// What is known about a cell, a column or an event, in words; one source for the tooltip, the drawer, the table
// and the screen reader. Returns plain strings; must not build elements.

import { compact, dateTime, duration, exact, percent, SERIES, zoneName } from './format';
import { hexText } from './keys';
import { cellValues, FLAG, FLAG_NAMES, FLAG_WORDS, STATE, STATE_WORDS, type Model, type Row } from './answer';

export type Pair = readonly [string, string];

export interface Facts {
  time: string;
  length: string;
  empty: boolean;
  stateName: string;
  number: string;
  unit: string;
  notes: string[];
  pairs: Pair[];
}

const nothingThere = (s: number): boolean => s === STATE.missing || s === STATE.pending || s === STATE.nonexistent;

/** The name and the unit of a series, also of a sum. */
export function seriesWords(series: string): { name: string; unit: string; bytes: boolean } {
  if (series === 'reads+writes') return { name: 'Reads + writes', unit: 'reads and writes', bytes: false };
  if (series === 'read_bytes+write_bytes') return { name: 'Bytes read + written', unit: 'bytes read and written', bytes: true };
  return SERIES[series];
}

export const stamp = (ms: number, tz: string): string => `${dateTime(ms, tz)} ${zoneName(ms, tz)}`;

function rate(value: number, m: Model, bytes: boolean): string | null {
  if (m.step === 1000 || !(value > 0)) return null;
  const per = (value * 1000) / m.step;
  return `${bytes ? compact(per, true) : per >= 100 ? exact(Math.round(per)) : per.toPrecision(2)} /s`;
}

/** Everything about one cell. `pairs` are [name, text] in reading order. */
export function cellFacts(m: Model, row: number, col: number, series: string, tz: string): Facts {
  const v = cellValues(m, row, col);
  const words = seriesWords(series);
  const [stateName, stateWhy] = STATE_WORDS[v.state];
  const empty = nothingThere(v.state) && !(v.value > 0);
  const notes: string[] = [];
  if (!empty && v.value > 0) {
    const share = percent(Number(v.value), v.total);
    if (share) notes.push(`${share} of the column`);
    if (words.bytes && v.value >= 1024) notes.push(compact(v.value, true));
    const perSecond = rate(Number(v.value), m, words.bytes);
    if (perSecond) notes.push(perSecond);
  }
  const pairs: Pair[] = [];
  if (v.max !== null && !empty) {
    const atMost = series.includes('+') ? 'at most ' : m.tier === 'finest' ? '' : 'at least ';
    pairs.push(['peak', `${atMost}${exact(v.max)} in one ${duration(m.recordedStep)} window`]);
  }
  if (v.inherited > 0) pairs.push(['inherited', `${exact(v.inherited)} of it, not counted in this row`]);
  pairs.push(['state', stateWhy ? `${stateName}: ${stateWhy}` : stateName]);
  for (const name of FLAG_NAMES) {
    if (!(v.flags & FLAG[name]) || (name === 'partial' && v.state === STATE.partial)) continue;
    pairs.push(['flag', `${FLAG_WORDS[name][0]}: ${FLAG_WORDS[name][1]}`]);
  }
  const ms = m.t0 + col * m.step;
  return { time: stamp(ms, tz), length: duration(m.step), empty, stateName, number: exact(v.value), unit: words.unit, notes, pairs };
}

/** Where a row lives and who it is. */
export function rowFacts(r: Row, tz: string): Pair[] {
  const pairs: Pair[] = [['bucket', r.isGroup ? `${r.bucket} (${exact(r.routeCount)} routes together)` : r.bucket]];
  if (r.lineage) pairs.push(['lineage', r.lineage]);
  if (r.groups.length) pairs.push([r.groups.length > 1 ? 'groups' : 'group', [...new Set(r.groups)].join(', ')]);
  if (r.validFrom) pairs.push(['alive', `${dateTime(r.validFrom, tz)} – ${r.validTo ? dateTime(r.validTo, tz) : 'now'}`]);
  if (r.closed) pairs.push(['closed', 'dropped; shown because it had traffic here']);
  if (r.degraded) pairs.push(['degraded', 'its group did not answer in full']);
  return pairs;
}

const lengthNote = (b: Uint8Array): string => (b.length > 64 ? ` (${exact(b.length)} bytes)` : '');
export const startHex = (r: Row, max: number): string => (r.start.length ? `${hexText(r.start, max)}${lengthNote(r.start)}` : 'no lower bound');
export const endHex = (r: Row, max: number): string => (r.openEnd ? 'no upper bound' : `${hexText(r.end, max)}${lengthNote(r.end)}`);

/** Everything about one column: the strip's tooltip. `kind` as `columnKinds` has it. */
export function columnFacts(m: Model, col: number, series: string, tz: string, kind: number): Facts {
  const t = m.totals;
  const words = seriesWords(series);
  const pairs: Pair[] = [];
  if (t.inherited[col] > 0) pairs.push(['inherited', `${exact(t.inherited[col])} of it, from wider ranges`]);
  if (t.unattributed[col] > 0) pairs.push(['beside', `${exact(t.unattributed[col])} operations met no known range`]);
  const value = t.recorded[col];
  const notes = [words.bytes && value >= 1024 ? compact(value, true) : null, rate(value, m, words.bytes)].filter((x) => x !== null);
  return {
    time: stamp(m.t0 + col * m.step, tz), length: duration(m.step), empty: kind !== 1,
    stateName: kind === 2 ? 'missing' : 'no data', number: exact(value), unit: words.unit, notes, pairs,
  };
}

/** One sentence for the screen reader. */
export function spoken(f: Facts, r: Row): string {
  const what = f.empty ? f.stateName : `${f.number} ${f.unit}, ${[...f.notes, ...f.pairs.map((p) => p[1])].join(', ')}`;
  return `${r.startText} to ${r.openEnd ? 'the end' : r.endText.slice(0, 80)}, ${f.time}, ${f.length}: ${what}`;
}
