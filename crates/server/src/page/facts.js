// facts.js: what is known about a cell, a column or an event, in words; one source for the tooltip, the drawer
// and the screen reader. Returns plain strings; must not build elements.

import { SERIES, exact, compact, percent, duration, dateTime, zoneName } from './format.js';
import { hexText } from './keys.js';
import { cellValues, FLAG, FLAG_WORDS, STATE, STATE_WORDS } from './model.js';
import { KIND_WORDS } from './events.js';

const nothingThere = (s) => s === STATE.missing || s === STATE.pending || s === STATE.nonexistent;

export function windowText(m, col, tz) {
  const ms = m.t0 + col * m.step;
  return { time: `${dateTime(ms, tz)} ${zoneName(ms, tz)}`, length: duration(m.step) };
}

export const rangeText = (row) => `${row.startText} … ${row.endText}`;

function amount(value, series) {
  const { unit, bytes } = SERIES[series];
  return { number: exact(value), unit, human: bytes && value >= 1024 ? compact(value, true) : null };
}

function rate(value, m, series) {
  if (m.step === 1000 || !(value > 0)) return null;
  const per = (Number(value) * 1000) / m.step;
  return `${SERIES[series].bytes ? compact(per, true) : per >= 100 ? exact(Math.round(per)) : per.toPrecision(2)} /s`;
}

/** Everything about one cell. `pairs` are [name, text, kind?] in reading order. */
export function cellFacts(m, row, col, series, tz, cells = 1) {
  const v = cellValues(m, row, col);
  const r = m.rows[row];
  const when = windowText(m, col, tz);
  const [stateName, stateWhy] = STATE_WORDS[v.state];
  const empty = nothingThere(v.state) && !(v.value > 0);
  const a = amount(v.value, series);
  const notes = [];
  if (!empty && v.value > 0) {
    const share = percent(Number(v.value), v.total);
    if (share) notes.push(`${share} of the column`);
    if (a.human) notes.push(a.human);
    const perSecond = rate(v.value, m, series);
    if (perSecond) notes.push(perSecond);
  }
  const pairs = [];
  if (v.max !== null && !empty) pairs.push(['peak', `${exact(v.max)} in one ${duration(m.recordedStep)} window`]);
  if (v.inherited > 0) pairs.push(['inherited', `${exact(v.inherited)} of it, not counted in this row`]);
  pairs.push(['state', stateWhy ? `${stateName}: ${stateWhy}` : stateName]);
  for (const [name, bit] of Object.entries(FLAG)) {
    if (!(v.flags & bit) || (name === 'partial' && v.state === STATE.partial)) continue;
    pairs.push(['flag', `${FLAG_WORDS[name][0]}: ${FLAG_WORDS[name][1]}`]);
  }
  return { when, empty, stateName, number: a.number, unit: a.unit, notes, pairs, row: r, cells };
}

/** Where a row lives and who it is. */
export function rowFacts(m, r, tz) {
  const pairs = [['bucket', r.aggregate || r.routeCount > 1 ? `${r.bucket} (${exact(r.routeCount)} routes together)` : r.bucket]];
  if (r.lineage) pairs.push(['lineage', r.lineage]);
  if (r.groups.length) {
    const terms = r.terms.length ? `, term ${[...new Set(r.terms.map(String))].slice(-4).join(', ')}` : '';
    pairs.push([r.groups.length > 1 ? 'groups' : 'group', `${[...new Set(r.groups.map(String))].join(', ')}${terms}`]);
  }
  if (r.raw.valid_from_unix_ms) {
    const until = r.raw.valid_to_unix_ms ? dateTime(r.raw.valid_to_unix_ms, tz) : 'now';
    pairs.push(['alive', `${dateTime(r.raw.valid_from_unix_ms, tz)} – ${until}`]);
  }
  if (r.closed) pairs.push(['closed', 'dropped; shown because it had traffic here']);
  if (r.degraded) pairs.push(['degraded', 'its group did not answer in full']);
  return pairs;
}

export const startHex = (r, max) => (r.start.length ? `${hexText(r.start, max)}${lengthNote(r.start)}` : 'no lower bound');
export const endHex = (r, max) => (r.openEnd ? 'no upper bound' : `${hexText(r.end, max)}${lengthNote(r.end)}`);
const lengthNote = (b) => (b.length > 64 ? ` (${exact(b.length)} bytes)` : '');

/** Everything about one column: the strip's tooltip. */
export function columnFacts(m, col, series, tz, kind) {
  const t = m.totals;
  const pairs = [];
  if (t.inherited[col] > 0) pairs.push(['inherited', `${exact(t.inherited[col])} of it, from wider ranges`]);
  if (t.unattributed[col] > 0) pairs.push(['beside', `${exact(t.unattributed[col])} operations met no known range`]);
  const a = amount(t.recorded[col], series);
  return { when: windowText(m, col, tz), empty: kind !== 1, stateName: kind === 2 ? 'missing' : 'no data', number: a.number, unit: a.unit, notes: [a.human, rate(t.recorded[col], m, series)].filter(Boolean), pairs };
}

export function eventLines(mark, tz) {
  const lines = mark.events.slice(0, 8).map((e) => ({
    time: `${dateTime(e.ms, tz)} ${zoneName(e.ms, tz)}`, kind: KIND_WORDS[e.kind] ?? 'Event', text: e.text,
  }));
  return { lines, more: mark.events.length - lines.length };
}

/** One sentence for the screen reader. */
export function spoken(f) {
  const what = f.empty ? f.stateName : `${f.number} ${f.unit}, ${[...f.notes, ...f.pairs.map((p) => p[1])].join(', ')}`;
  return `${f.row ? `${f.row.label} to ${f.row.openEnd ? 'the end' : f.row.endText.slice(0, 80)}, ` : ''}${f.when.time}, ${f.when.length}: ${what}`;
}
