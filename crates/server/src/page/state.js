// state.js: what the page shows, as one plain object, to and from the URL's query string.
// Everything that changes the picture is in it (times as absolute UTC ms, keys as hex); must not fetch or draw.

export const DEFAULTS = Object.freeze({
  series: 'writes', from: 0, to: 0, live: false, asof: 'to', cont: 'inherit', rows: 1024, step: 0,
  scale: 'log', value: 'total', palette: 'viridis', tz: 'utc', start: '', end: '', row: '', at: 0,
});

export const DEFAULT_SPAN = 900000;
export const MIN_SPAN = 1000;

const CHOICES = {
  series: ['reads', 'writes', 'read_bytes', 'write_bytes'],
  cont: ['inherit', 'apportion'],
  scale: ['log', 'linear'],
  value: ['total', 'peak'],
  palette: ['viridis', 'cividis'],
  tz: ['utc', 'local'],
};

const MAX_TIME = 8.64e15;

function integer(text, low, high) {
  if (text === null || !/^\d{1,16}$/.test(text)) return null;
  const n = Number(text);
  return n >= low && n <= high ? n : null;
}

/** Reads a query string; whatever is absent or senseless takes its default. */
export function parse(search, now) {
  const q = new URLSearchParams(search);
  const s = { ...DEFAULTS };
  for (const [name, allowed] of Object.entries(CHOICES)) {
    if (allowed.includes(q.get(name))) s[name] = q.get(name);
  }
  const asof = q.get('asof');
  if (asof !== null && /^(?:to|from|union|\d{1,15})$/.test(asof)) s.asof = asof;
  s.rows = integer(q.get('rows'), 1, 1024) ?? DEFAULTS.rows;
  s.step = integer(q.get('step'), 1, 86400000) ?? 0;
  for (const name of ['start', 'end']) {
    if (/^(?:[0-9a-f]{2}){1,1024}$/i.test(q.get(name) ?? '')) s[name] = q.get(name).toLowerCase();
  }
  if (/^[\x21-\x7e]{1,300}$/.test(q.get('row') ?? '')) s.row = q.get('row');
  s.at = integer(q.get('at'), 0, MAX_TIME) ?? 0;
  const from = integer(q.get('from'), 0, MAX_TIME);
  const to = integer(q.get('to'), 0, MAX_TIME);
  if (from !== null && to !== null && to - from >= MIN_SPAN) {
    s.from = from;
    s.to = to;
    s.live = q.get('live') === '1';
    if (s.live) Object.assign(s, { from: now - (to - from), to: now });
  } else {
    const wanted = integer(q.get('span'), MIN_SPAN, MAX_TIME) ?? DEFAULT_SPAN;
    Object.assign(s, { from: now - wanted, to: now, live: true });
  }
  return s;
}

/** The query string of a state; defaults are left out, the times never are. */
export function serialise(s) {
  const q = new URLSearchParams();
  q.set('series', s.series);
  q.set('from', String(Math.round(s.from)));
  q.set('to', String(Math.round(s.to)));
  if (s.live) q.set('live', '1');
  for (const name of ['asof', 'cont', 'rows', 'step', 'scale', 'value', 'palette', 'tz', 'start', 'end', 'row', 'at']) {
    if (s[name] !== DEFAULTS[name]) q.set(name, String(s[name]));
  }
  return `?${q}`;
}

/** Which parts of the state the answer of the node depends on (a change means a new query). */
export const QUERY_KEYS = ['series', 'from', 'to', 'asof', 'cont', 'rows', 'step', 'start', 'end'];

/** What identifies a query apart from its time, to tell a refresh from another question. */
export const questionOf = (s) => JSON.stringify([s.series, s.asof, s.cont, s.rows, s.step, s.start, s.end, s.live ? s.to - s.from : [s.from, s.to]]);
