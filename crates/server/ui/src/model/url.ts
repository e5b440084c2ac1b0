// What the page shows, as one plain object, to and from the URL's query string.
// Everything that changes the picture is in it (times as absolute UTC ms, keys as hex); must not fetch or draw.

export type Live = 'off' | 'follow' | 'hold';

export interface Shown {
  series: string;
  from: number;
  to: number;
  /** `follow`: the span moves with the clock; `hold`: it stays, and what arrives in it is drawn. */
  live: Live;
  asof: string;
  cont: string;
  rows: number;
  step: number;
  scale: string;
  /** What colours a cell: its largest recorded window, or its total. */
  value: string;
  palette: string;
  tz: string;
  /** The bounds of the keys in view, hexadecimal; empty = open. */
  start: string;
  end: string;
  /** The pinned row and window. */
  row: string;
  at: number;
  /** The value of the brightest colour; 0 = what is in view. */
  top: number;
  bright: number;
}

export const DEFAULTS: Readonly<Shown> = Object.freeze({
  series: 'writes', from: 0, to: 0, live: 'off', asof: 'to', cont: 'inherit', rows: 1024, step: 0,
  scale: 'log', value: 'peak', palette: 'viridis', tz: 'utc', start: '', end: '', row: '', at: 0, top: 0, bright: 0,
});

export const DEFAULT_SPAN = 900_000;
export const MIN_SPAN = 1000;

/** A name with `+` is the sum of two series. */
export const SERIES_NAMES = ['writes', 'reads', 'write_bytes', 'read_bytes', 'reads+writes', 'read_bytes+write_bytes'];

const CHOICES: Partial<Record<keyof Shown, readonly string[]>> = {
  series: SERIES_NAMES,
  cont: ['inherit', 'apportion'],
  scale: ['log', 'linear'],
  value: ['peak', 'total'],
  palette: ['viridis', 'cividis'],
  tz: ['utc', 'local'],
};

const MAX_TIME = 8.64e15;

function integer(text: string | null, low: number, high: number): number | null {
  if (text === null || !/^-?\d{1,19}$/.test(text)) return null;
  const n = Number(text);
  return n >= low && n <= high ? n : null;
}

const LIVE: Record<string, Live> = { 1: 'follow', hold: 'hold' };

/** Reads a query string; whatever is absent or senseless takes its default. */
export function parse(search: string, now: number): Shown {
  const q = new URLSearchParams(search);
  const s: Record<string, unknown> = { ...DEFAULTS };
  for (const [name, allowed] of Object.entries(CHOICES)) {
    const value = q.get(name);
    if (value !== null && allowed.includes(value)) s[name] = value;
  }
  const asof = q.get('asof');
  if (asof !== null && /^(?:to|from|union|\d{1,15})$/.test(asof)) s.asof = asof;
  s.rows = integer(q.get('rows'), 1, 1024) ?? DEFAULTS.rows;
  s.step = integer(q.get('step'), 1, 86_400_000) ?? 0;
  s.top = integer(q.get('top'), 1, 2 ** 64) ?? 0;
  s.bright = integer(q.get('bright'), -4, 4) ?? 0;
  for (const name of ['start', 'end']) {
    const hex = q.get(name) ?? '';
    if (/^(?:[0-9a-f]{2}){1,1024}$/i.test(hex)) s[name] = hex.toLowerCase();
  }
  const row = q.get('row') ?? '';
  if (/^[\x21-\x7e]{1,300}$/.test(row)) s.row = row;
  s.at = integer(q.get('at'), 0, MAX_TIME) ?? 0;
  const from = integer(q.get('from'), 0, MAX_TIME);
  const to = integer(q.get('to'), 0, MAX_TIME);
  if (from !== null && to !== null && to - from >= MIN_SPAN) {
    Object.assign(s, { from, to, live: LIVE[q.get('live') ?? ''] ?? 'off' });
    if (s.live === 'follow') Object.assign(s, { from: now - (to - from), to: now });
  } else {
    const wanted = integer(q.get('span'), MIN_SPAN, MAX_TIME) ?? DEFAULT_SPAN;
    Object.assign(s, { from: now - wanted, to: now, live: 'follow' });
  }
  return s as unknown as Shown;
}

const REST = ['asof', 'cont', 'rows', 'step', 'scale', 'value', 'palette', 'tz', 'start', 'end', 'row', 'at', 'top', 'bright'] as const;

/** The query string of what is shown; defaults are left out, the times never are. */
export function serialise(s: Shown): string {
  const q = new URLSearchParams();
  q.set('series', s.series);
  q.set('from', String(Math.round(s.from)));
  q.set('to', String(Math.round(s.to)));
  if (s.live !== 'off') q.set('live', s.live === 'follow' ? '1' : 'hold');
  for (const name of REST) if (s[name] !== DEFAULTS[name]) q.set(name, String(s[name]));
  return `?${q.toString()}`;
}

/** What identifies a question apart from where one looks: another one needs an answer of its own. */
export const questionOf = (s: Shown): string => JSON.stringify([s.series, s.asof, s.cont, s.rows, s.step]);
