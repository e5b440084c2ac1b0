// Numbers, units, durations and times as text, and times typed by people back to Unix ms.
// Pure functions; must not touch the document or know what the numbers belong to.

const GROUP = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** All digits, with thousands separators; takes numbers and BigInts. */
export const exact = (v: number | bigint): string => GROUP.format(v);

const SI: readonly (readonly [number, string])[] = [[1e18, 'E'], [1e15, 'P'], [1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']];
const IEC: readonly (readonly [number, string])[] = [[2 ** 60, 'EiB'], [2 ** 50, 'PiB'], [2 ** 40, 'TiB'], [2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB']];

function shortest(x: number): string {
  const s = x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2);
  return s.includes('.') ? s.replace(/\.?0+$/, '') : s;
}

/** Short form for axes and legends: 1.2k, 3.4 MiB. */
export function compact(value: number | bigint, bytes = false): string {
  const v = Number(value);
  if (bytes) {
    for (const [unit, name] of IEC) if (v >= unit) return `${shortest(v / unit)} ${name}`;
    return `${shortest(v)} B`;
  }
  for (const [unit, name] of SI) if (v >= unit) return shortest(v / unit) + name;
  return shortest(v);
}

export const SERIES: Record<string, { name: string; unit: string; bytes: boolean }> = {
  reads: { name: 'Reads', unit: 'reads', bytes: false },
  writes: { name: 'Writes', unit: 'writes', bytes: false },
  read_bytes: { name: 'Read bytes', unit: 'bytes read', bytes: true },
  write_bytes: { name: 'Write bytes', unit: 'bytes written', bytes: true },
};

const UNITS: readonly (readonly [number, string])[] = [[86400000, 'd'], [3600000, 'h'], [60000, 'min'], [1000, 's']];

/** "1 s", "10 min", "1 h", "7 d"; not rounded: 90 s stays 90 s. */
export function duration(ms: number): string {
  for (const [unit, name] of UNITS) {
    if (ms >= unit && ms % unit === 0) return `${exact(ms / unit)} ${name}`;
  }
  return ms > 1000 ? `${(ms / 1000).toFixed(1)} s` : `${ms} ms`;
}

/** A span in at most two units: "6 d 23 h", for headings. */
export function span(length: number): string {
  let ms = length;
  const parts: string[] = [];
  for (const [unit, name] of UNITS) {
    const n = Math.floor(ms / unit);
    if (n > 0) { parts.push(`${n} ${name}`); ms -= n * unit; }
    if (parts.length === 2) break;
  }
  return parts.join(' ') || '0 s';
}

export function percent(part: number, whole: number): string | null {
  if (!(whole > 0)) return null;
  const p = (100 * part) / whole;
  if (p === 0) return '0 %';
  return p < 0.01 ? '< 0.01 %' : `${p >= 99.95 ? p.toFixed(0) : p >= 10 ? p.toFixed(1) : p.toFixed(2)} %`;
}

const two = (n: number): string => String(n).padStart(2, '0');
export const WEEKDAY = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
export const MONTH = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** Minutes east of UTC at that moment on the chosen clock. */
export function offsetMinutes(ms: number, tz: string): number {
  return tz === 'local' ? -new Date(ms).getTimezoneOffset() : 0;
}

/** Broken-down time on the chosen clock ("utc" or "local"). */
export function parts(ms: number, tz: string) {
  const d = new Date(ms + offsetMinutes(ms, tz) * 60000);
  return {
    year: d.getUTCFullYear(), month: d.getUTCMonth(), day: d.getUTCDate(), weekday: d.getUTCDay(),
    hour: d.getUTCHours(), minute: d.getUTCMinutes(), second: d.getUTCSeconds(), ms: d.getUTCMilliseconds(),
  };
}

export function zoneName(ms: number, tz: string): string {
  const off = offsetMinutes(ms, tz);
  if (off === 0) return 'UTC';
  const a = Math.abs(off);
  return `UTC${off < 0 ? '−' : '+'}${Math.floor(a / 60)}${a % 60 ? `:${two(a % 60)}` : ''}`;
}

export function clock(ms: number, tz: string, seconds = true): string {
  const p = parts(ms, tz);
  const base = `${two(p.hour)}:${two(p.minute)}`;
  if (!seconds) return base;
  return `${base}:${two(p.second)}${p.ms ? `.${String(p.ms).padStart(3, '0')}` : ''}`;
}

export function date(ms: number, tz: string): string {
  const p = parts(ms, tz);
  return `${p.year}-${two(p.month + 1)}-${two(p.day)}`;
}

/** "2026-11-20 16:00:00", the form that the from/to boxes show and accept. */
export const dateTime = (ms: number, tz: string): string => `${date(ms, tz)} ${clock(ms, tz)}`;

const RELATIVE: Record<string, number> = { s: 1000, m: 60000, h: 3600000, d: 86400000, w: 604800000 };

/**
 * What a person typed or pasted, as Unix ms: ISO 8601 with or without a zone, Unix seconds or ms,
 * "now", "-2h", "now-2h". Without a zone it is on the chosen clock. NaN when it is none of these.
 */
export function parseTime(text: string, tz: string, now: number): number {
  const s = text.trim().replace(/\s*UTC$/i, 'Z');
  if (/^now$/i.test(s)) return now;
  const rel = /^(?:now)?\s*[-−]\s*(\d+)\s*([smhdw])$/i.exec(s);
  if (rel) return now - Number(rel[1]) * RELATIVE[rel[2]!.toLowerCase()]!;
  if (/^\d{12,14}$/.test(s)) return Number(s);
  if (/^\d{9,11}$/.test(s)) return Number(s) * 1000;
  const m = /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?\s*(Z|[+-]\d{2}:?\d{2})?$/i.exec(s);
  if (!m) return NaN;
  const [y, mo, d, h, mi, se] = [m[1], Number(m[2]) - 1, m[3], m[4] ?? 0, m[5] ?? 0, m[6] ?? 0].map(Number) as [number, number, number, number, number, number];
  const frac = m[7] ? Math.floor(Number(`0.${m[7]}`) * 1000) : 0;
  if (mo > 11 || mo < 0 || d < 1 || d > 31 || h > 24 || mi > 59 || se > 60) return NaN;
  if (m[8]) {
    const z = /^z$/i.test(m[8]) ? 0 : (m[8][0] === '-' ? -1 : 1) * (Number(m[8].slice(1, 3)) * 60 + Number(m[8].slice(-2)));
    return Date.UTC(y, mo, d, h, mi, se, frac) - z * 60000;
  }
  return tz === 'local' ? new Date(y, mo, d, h, mi, se, frac).getTime() : Date.UTC(y, mo, d, h, mi, se, frac);
}

/** "±30m" after a moment: the span around it, or null. */
export function parseAround(text: string): number | null {
  const found = /^(?:±|\+-|\+\/-)\s*(\d+)\s*([smhdw])$/i.exec(text.trim());
  return found ? Number(found[1]) * RELATIVE[found[2]!.toLowerCase()]! : null;
}
