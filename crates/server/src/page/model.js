// model.js: the node's JSON answer as typed arrays in one shape, whatever was left out of it.
// Knows the answer's format and nothing of pixels; must not fetch and must not draw.

import { bytesOf, keyText, cleanLabel } from './keys.js';

export const STATE = { measured: 0, idle: 1, missing: 2, partial: 3, pending: 4, nonexistent: 5 };
export const STATE_WORDS = [
  ['recorded', ''],
  ['idle', 'recorded, no traffic'],
  ['missing', 'no expected source recorded this window'],
  ['partial', 'some expected source did not report'],
  ['pending', 'the window has just ended, a source is still out'],
  ['did not exist', 'no lineage of this range was alive'],
];

export const FLAG = { sampled: 1, soft: 2, conflict: 4, stale_leader: 8, inherited: 16, apportioned: 32, partial: 64, stretched: 128, shed: 256, saturated: 512 };
export const FLAG_WORDS = {
  sampled: ['sampled', 'estimated from one in N accesses'],
  soft: ['soft', 'the promised error bound was missed'],
  conflict: ['conflict', 'sources disagree on one term, the larger is shown'],
  stale_leader: ['stale leader', 'counted by a node that was losing its lease'],
  inherited: ['inherited', 'from a wider or older range, not counted here'],
  apportioned: ['apportioned', 'this range’s equal share of a wider one'],
  partial: ['partial', 'some expected source did not report'],
  stretched: ['stretched', 'the source covered more than one window'],
  shed: ['shed', 'part of this window was dropped before it was stored'],
  saturated: ['saturated', 'a counter hit its limit, the truth is at least this'],
};

function remapper(bits) {
  const pairs = Object.entries(FLAG).map(([name, bit]) => [Number(bits?.[name] ?? bit), bit]);
  if (pairs.every(([theirs, ours]) => theirs === ours)) return (f) => f;
  return (f) => pairs.reduce((sum, [theirs, ours]) => (f & theirs ? sum | ours : sum), 0);
}

/** Copies a JSON array into a typed row; values beyond 2^53 stay exact in `big`. */
function copyNumbers(target, offset, source, n, big) {
  const len = Math.min(n, source?.length ?? 0);
  for (let c = 0; c < len; c++) {
    const v = source[c];
    if (typeof v === 'bigint') big.set(offset + c, v);
    target[offset + c] = Number(v) || 0;
  }
}

function copyTotals(source, n) {
  const out = new Float64Array(n);
  copyNumbers(out, 0, source, n, new Map());
  return out;
}

/** Adds labels and bounds to a row only when somebody looks: a key may be 64 KiB. */
class Row {
  constructor(raw, index) {
    this.raw = raw;
    this.index = index;
    this.bucket = cleanLabel(raw.bucket_id ?? '');
    this.lineage = typeof raw.lineage_id === 'string' ? raw.lineage_id : '';
    this.groups = Array.isArray(raw.raft_group_ids) ? raw.raft_group_ids : [];
    this.terms = Array.isArray(raw.leader_terms) ? raw.leader_terms : [];
    this.routes = Array.isArray(raw.route_ids) ? raw.route_ids : [];
    this.routeCount = Number(raw.route_count ?? this.routes.length);
    this.aggregate = raw.aggregate === true;
    this.closed = raw.closed === true;
    this.degraded = Boolean(raw.degraded);
  }

  get id() { return this.lineage || this.bucket; }
  get start() { return (this._start ??= bytesOf(this.raw.start ?? '') ?? new Uint8Array(0)); }
  get end() { return this._end === undefined ? (this._end = bytesOf(this.raw.end)) : this._end; }
  get startText() { return (this._startText ??= this.start.length ? keyText(this.start).text : '−∞'); }
  get endText() { return (this._endText ??= this.end && this.end.length ? keyText(this.end).text : '+∞'); }
  get openEnd() { return !this.end || this.end.length === 0; }
  /** Made from the bytes, not from the answer's `start_label`, so that a picture shows what the key really is. */
  get label() { return this.startText; }
}

export function decode(answer) {
  const columns = Array.isArray(answer.column_unix_ms) ? answer.column_unix_ms.map(Number) : [];
  const n = columns.length;
  const step = Number(answer.step_ms) || (n > 1 ? columns[1] - columns[0] : 1000);
  const recordedStep = Number(answer.recorded_step_ms) || step;
  const rawRows = Array.isArray(answer.rows) ? answer.rows : [];
  const cells = rawRows.length * n;
  const values = new Float64Array(cells);
  const state = new Uint8Array(cells);
  const flags = new Uint16Array(cells);
  const wantMax = step > recordedStep && rawRows.some((r) => Array.isArray(r.max));
  const max = wantMax ? new Float64Array(cells) : null;
  const inherited = rawRows.some((r) => Array.isArray(r.inherited)) ? new Float64Array(cells) : null;
  const big = new Map();
  const bigMax = new Map();
  const bigInherited = new Map();
  const remap = remapper(answer.flag_bits);
  let anyRecorded = false;

  rawRows.forEach((raw, r) => {
    const at = r * n;
    copyNumbers(values, at, raw.values, n, big);
    if (max) copyNumbers(max, at, raw.max ?? raw.values, n, bigMax);
    if (inherited) copyNumbers(inherited, at, raw.inherited, n, bigInherited);
    if (Array.isArray(raw.flags)) {
      for (let c = 0; c < Math.min(n, raw.flags.length); c++) flags[at + c] = remap(Number(raw.flags[c]) || 0);
    }
    if (inherited) {
      for (let c = 0; c < n; c++) if (inherited[at + c] > 0) flags[at + c] |= FLAG.inherited;
    }
    let c = 0;
    for (const [name, count] of Array.isArray(raw.states) ? raw.states : []) {
      const code = STATE[name] ?? STATE.measured;
      const stop = Math.min(n, c + Number(count));
      if (code <= STATE.idle || code === STATE.partial) anyRecorded = true;
      state.fill(code, at + c, at + stop);
      c = stop;
    }
    if (!Array.isArray(raw.states)) {
      anyRecorded = true;
      for (; c < n; c++) state[at + c] = values[at + c] > 0 ? STATE.measured : STATE.idle;
    }
  });

  const t = answer.column_totals ?? {};
  return {
    series: answer.series, step, recordedStep, n, columns,
    t0: n ? columns[0] : 0,
    tEnd: n ? columns[n - 1] + step : 0,
    rows: rawRows.map((raw, i) => new Row(raw, i)),
    values, max, inherited, state, flags, big, bigMax, bigInherited, anyRecorded,
    totals: {
      recorded: copyTotals(t.recorded, n), counted: copyTotals(t.counted, n),
      inherited: copyTotals(t.inherited, n), unattributed: copyTotals(t.unattributed, n),
      known: Array.isArray(t.recorded),
    },
    generatedAt: Date.parse(answer.generated_at) || Date.now(),
    partial: answer.status === 'PARTIAL',
    nodes: (Array.isArray(answer.nodes) ? answer.nodes : []).map((x) => ({
      id: cleanLabel(x.id ?? x.node ?? '?'), ok: x.ok !== false, error: x.error ? cleanLabel(x.error) : '',
    })),
  };
}

/** The exact numbers of one cell (BigInt where a double could not hold them). */
export function cellValues(m, r, c) {
  const i = r * m.n + c;
  return {
    value: m.big.get(i) ?? m.values[i],
    max: m.max ? m.bigMax.get(i) ?? m.max[i] : null,
    inherited: m.inherited ? m.bigInherited.get(i) ?? m.inherited[i] : 0,
    state: m.state[i],
    flags: m.flags[i],
    total: m.totals.recorded[c],
  };
}

/** True when the column's window was recorded by nobody at all (every row that existed is missing). */
export function columnMissing(m, c) {
  let seen = false;
  for (let r = 0; r < m.rows.length; r++) {
    const s = m.state[r * m.n + c];
    if (s === STATE.missing) seen = true;
    else if (s !== STATE.nonexistent) return false;
  }
  return seen;
}
