// The node's JSON answer as typed arrays in one shape, whatever was left out of it.
// Knows the answer's format and nothing of pixels; must not fetch and must not draw.

import { bytesOf, cleanLabel, keyText } from './keys';

export const STATE = { measured: 0, idle: 1, missing: 2, partial: 3, pending: 4, nonexistent: 5 } as const;
export const STATE_WORDS: readonly (readonly [string, string])[] = [
  ['recorded', ''],
  ['idle', 'recorded, no traffic'],
  ['missing', 'no expected source recorded this window'],
  ['partial', 'some expected source did not report'],
  ['pending', 'the window has just ended, a source is still out'],
  ['did not exist', 'no lineage of this range was alive'],
];

export const FLAG = {
  sampled: 1, soft: 2, conflict: 4, stale_leader: 8, inherited: 16, apportioned: 32, partial: 64, stretched: 128, shed: 256, saturated: 512,
} as const;
export type FlagName = keyof typeof FLAG;
export const FLAG_NAMES = Object.keys(FLAG) as FlagName[];
export const FLAG_WORDS: Record<FlagName, readonly [string, string]> = {
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

/** An answer as JSON gives it: nothing of it is believed. */
type Raw = Record<string, unknown>;
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

function remapper(bits: unknown): (flags: number) => number {
  const theirs = (bits ?? {}) as Raw;
  const pairs = FLAG_NAMES.map((name) => [Number(theirs[name] ?? FLAG[name]), FLAG[name]] as const);
  if (pairs.every(([a, b]) => a === b)) return (f) => f & 1023;
  return (f) => pairs.reduce((sum, [a, b]) => (f & a ? sum | b : sum), 0);
}

/** Copies a JSON array into a typed row; values beyond 2^53 stay exact in `big`. */
function copyNumbers(target: Float64Array, offset: number, source: unknown, n: number, big: Map<number, bigint>): void {
  const from = list(source);
  const length = Math.min(n, from.length);
  for (let c = 0; c < length; c++) {
    const v = from[c];
    if (typeof v === 'bigint') big.set(offset + c, v);
    target[offset + c] = Number(v) || 0;
  }
}

function copyTotals(source: unknown, n: number): Float64Array {
  const out = new Float64Array(n);
  copyNumbers(out, 0, source, n, new Map());
  return out;
}

/** Labels and bounds are made only when somebody looks: a key may be 64 KiB. */
export class Row {
  readonly bucket: string;
  readonly lineage: string;
  readonly groups: string[];
  readonly routes: string[];
  readonly routeCount: number;
  readonly aggregate: boolean;
  readonly closed: boolean;
  readonly degraded: boolean;
  readonly validFrom: number;
  readonly validTo: number;
  private readonly rawStart: unknown;
  private readonly rawEnd: unknown;
  private startBytes: Uint8Array | undefined;
  private endBytes: Uint8Array | undefined;
  private startLabel: string | undefined;
  private endLabel: string | undefined;

  constructor(raw: Raw) {
    this.bucket = cleanLabel(raw.bucket_id ?? '');
    this.lineage = typeof raw.lineage_id === 'string' ? raw.lineage_id : '';
    this.groups = list(raw.raft_group_ids).map(String);
    this.routes = list(raw.route_ids).map(String);
    this.routeCount = Number(raw.route_count ?? this.routes.length);
    this.aggregate = raw.aggregate === true;
    this.closed = raw.closed === true;
    this.degraded = Boolean(raw.degraded);
    this.validFrom = Number(raw.valid_from_unix_ms) || 0;
    this.validTo = Number(raw.valid_to_unix_ms) || 0;
    this.rawStart = raw.start;
    this.rawEnd = raw.end;
  }

  get id(): string { return this.lineage || this.bucket; }
  /** Several ranges in one row. */
  get isGroup(): boolean { return this.aggregate || this.routeCount > 1; }
  /** Empty = unbounded. */
  get start(): Uint8Array { return (this.startBytes ??= bytesOf(this.rawStart) ?? new Uint8Array(0)); }
  get end(): Uint8Array { return (this.endBytes ??= bytesOf(this.rawEnd) ?? new Uint8Array(0)); }
  get openEnd(): boolean { return this.end.length === 0; }
  get startText(): string { return (this.startLabel ??= this.start.length ? keyText(this.start) : '−∞'); }
  get endText(): string { return (this.endLabel ??= this.openEnd ? '+∞' : keyText(this.end)); }
}

export interface Totals {
  recorded: Float64Array;
  counted: Float64Array;
  inherited: Float64Array;
  unattributed: Float64Array;
}

export interface NodeStatus { id: string; ok: boolean; error: string }

export interface Model {
  step: number;
  recordedStep: number;
  tier: string;
  /** Columns: column `c` begins at `t0 + c * step`. */
  n: number;
  t0: number;
  tEnd: number;
  rows: Row[];
  /** What is shown, row by row: `row * n + column`. */
  values: Float64Array;
  /** The largest recorded window in a cell; null where a cell is one window. */
  max: Float64Array | null;
  inherited: Float64Array | null;
  state: Uint8Array;
  flags: Uint16Array;
  big: Map<number, bigint>;
  bigMax: Map<number, bigint>;
  anyRecorded: boolean;
  totals: Totals;
  generatedAt: number;
  partial: boolean;
  warnings: string[];
  nodes: NodeStatus[];
}

/** Where each of the answer's columns lies on a true time axis: what the node left out stays a hole. */
function timeAxis(columns: number[], step: number): { n: number; place: Int32Array } {
  const t0 = columns[0] ?? 0;
  const place = Int32Array.from(columns, (ms) => Math.round((ms - t0) / step));
  return { n: columns.length ? place[place.length - 1] + 1 : 0, place };
}

function spread<T extends Float64Array>(from: T, place: Int32Array, n: number): Float64Array {
  const out = new Float64Array(n);
  for (let c = 0; c < place.length; c++) out[place[c]] = from[c];
  return out;
}

export function decode(answer: Raw): Model {
  const columns = list(answer.column_unix_ms).map(Number);
  const step = Number(answer.step_ms) || (columns.length > 1 ? columns[1] - columns[0] : 1000);
  const { n, place } = timeAxis(columns, step);
  const whole = n === columns.length;
  const recordedStep = Number(answer.recorded_step_ms) || step;
  const rawRows = list(answer.rows) as Raw[];
  const cells = rawRows.length * n;
  const values = new Float64Array(cells);
  const state = new Uint8Array(cells).fill(whole ? STATE.measured : STATE.missing);
  const flags = new Uint16Array(cells);
  const wantMax = step > recordedStep && rawRows.some((r) => Array.isArray(r.max));
  const max = wantMax ? new Float64Array(cells) : null;
  const inherited = rawRows.some((r) => Array.isArray(r.inherited)) ? new Float64Array(cells) : null;
  const big = new Map<number, bigint>();
  const bigMax = new Map<number, bigint>();
  const remap = remapper(answer.flag_bits);
  const sent = columns.length;
  let anyRecorded = false;

  const numbers = (target: Float64Array, at: number, source: unknown, exact: Map<number, bigint>): void => {
    if (whole) return copyNumbers(target, at, source, sent, exact);
    const line = new Float64Array(sent);
    copyNumbers(line, 0, source, sent, new Map());
    for (let c = 0; c < sent; c++) target[at + place[c]] = line[c];
  };

  rawRows.forEach((raw, r) => {
    const at = r * n;
    numbers(values, at, raw.values, big);
    if (max) numbers(max, at, raw.max ?? raw.values, bigMax);
    if (inherited) numbers(inherited, at, raw.inherited, new Map());
    list(raw.flags).slice(0, sent).forEach((f, c) => { flags[at + place[c]] = remap(Number(f) || 0); });
    if (inherited) for (let c = at; c < at + n; c++) if (inherited[c] > 0) flags[c] |= FLAG.inherited;
    if (Array.isArray(raw.states)) {
      let c = 0;
      for (const run of raw.states as [string, number][]) {
        const code = STATE[run[0] as keyof typeof STATE] ?? STATE.measured;
        if (code <= STATE.idle || code === STATE.partial) anyRecorded = true;
        for (const stop = Math.min(sent, c + Number(run[1])); c < stop; c++) state[at + place[c]] = code;
      }
    } else {
      anyRecorded = true;
      for (let c = 0; c < sent; c++) state[at + place[c]] = values[at + place[c]] > 0 ? STATE.measured : STATE.idle;
    }
  });

  const t = (answer.column_totals ?? {}) as Raw;
  const total = (source: unknown): Float64Array => spread(copyTotals(source, sent), place, n);
  return {
    step, recordedStep, n,
    tier: typeof answer.tier === 'string' ? answer.tier : 'finest',
    t0: columns[0] ?? 0,
    tEnd: n ? columns[0] + n * step : 0,
    rows: rawRows.map((raw) => new Row(raw)),
    values, max, inherited, state, flags, big, bigMax, anyRecorded,
    totals: { recorded: total(t.recorded), counted: total(t.counted), inherited: total(t.inherited), unattributed: total(t.unattributed) },
    generatedAt: Date.parse(String(answer.generated_at)) || Date.now(),
    partial: answer.status === 'PARTIAL',
    warnings: list(answer.warnings).map(cleanLabel),
    nodes: (list((answer.fanout as Raw | undefined)?.nodes) as Raw[]).map((x) => ({
      id: cleanLabel(x.node ?? '?'), ok: x.ok !== false, error: x.error ? cleanLabel(x.error) : '',
    })),
  };
}

/** Which of two states says more about a sum of two series. */
const RANK = [5, 4, 1, 3, 2, 0];

/**
 * Two series of the same question as one; null where the node grouped their ranges differently.
 * A sum's largest window is at most the sum of the largest windows, and is shown as that.
 */
export function sumOf(a: Model, b: Model): Model | null {
  const same = a.n === b.n && a.t0 === b.t0 && a.step === b.step && a.rows.length === b.rows.length
    && a.rows.every((row, r) => row.id === b.rows[r].id);
  if (!same) return null;
  const add = (x: Float64Array, y: Float64Array): Float64Array => x.map((v, i) => v + y[i]);
  const both = (x: Float64Array | null, y: Float64Array | null): Float64Array | null => (x && y ? add(x, y) : x ?? y);
  const big = new Map(a.big);
  for (const [i, v] of b.big) big.set(i, v + (a.big.get(i) ?? BigInt(a.values[i])));
  for (const [i, v] of a.big) if (!b.big.has(i)) big.set(i, v + BigInt(b.values[i]));
  return {
    ...a,
    values: add(a.values, b.values),
    max: both(a.max, b.max),
    inherited: both(a.inherited, b.inherited),
    state: a.state.map((s, i) => (RANK[s] >= RANK[b.state[i]] ? s : b.state[i])),
    flags: a.flags.map((f, i) => f | b.flags[i]),
    big, bigMax: new Map(),
    anyRecorded: a.anyRecorded || b.anyRecorded,
    totals: {
      recorded: add(a.totals.recorded, b.totals.recorded), counted: add(a.totals.counted, b.totals.counted),
      inherited: add(a.totals.inherited, b.totals.inherited), unattributed: add(a.totals.unattributed, b.totals.unattributed),
    },
    partial: a.partial || b.partial,
    warnings: [...new Set([...a.warnings, ...b.warnings])],
  };
}

export interface CellValues {
  value: number | bigint;
  max: number | bigint | null;
  inherited: number;
  state: number;
  flags: number;
  total: number;
}

/** The exact numbers of one cell (BigInt where a double could not hold them). */
export function cellValues(m: Model, r: number, c: number): CellValues {
  const i = r * m.n + c;
  return {
    value: m.big.get(i) ?? m.values[i],
    max: m.max ? m.bigMax.get(i) ?? m.max[i] : null,
    inherited: m.inherited ? m.inherited[i] : 0,
    state: m.state[i],
    flags: m.flags[i],
    total: m.totals.recorded[c],
  };
}

export type ColumnKind = 0 | 1 | 2;

/** What every column is: 1 something was recorded, 2 nobody recorded it, 0 neither. */
export function columnKinds(m: Model): Uint8Array {
  const seen = new Uint8Array(m.n);
  for (let r = 0; r < m.rows.length; r++) {
    for (let c = 0, k = r * m.n; c < m.n; c++, k++) seen[c] |= 1 << m.state[k];
  }
  const recorded = (1 << STATE.measured) | (1 << STATE.idle) | (1 << STATE.partial);
  return seen.map((s, c) => {
    if (s & recorded || m.totals.recorded[c] > 0 || m.totals.unattributed[c] > 0) return 1;
    return s & (1 << STATE.missing) ? 2 : 0;
  });
}
