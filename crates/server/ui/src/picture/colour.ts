// Values to colours: the palettes, the log and linear scales, packing for ImageData.
// Pure; must not know rows, states or the document.

import { CIVIDIS, FLOOR, VIRIDIS } from './colours';
import { valueOf } from './pyramid';

export type Rgb = readonly [number, number, number];

const clamp8 = (x: number): number => Math.max(0, Math.min(255, Math.round(x)));

function decodeTable(hex: string): Rgb[] {
  return (hex.match(/.{6}/g) ?? []).map((c) => [0, 2, 4].map((i) => parseInt(c.slice(i, i + 2), 16)) as unknown as Rgb);
}

const TABLES: Record<string, Rgb[]> = { viridis: decodeTable(VIRIDIS), cividis: decodeTable(CIVIDIS) };

/** 256 colours; entry 0 is "no traffic", darker than the least traffic. */
export const tableOf = (name: string): Rgb[] => TABLES[name] ?? TABLES.viridis;
export const css = ([r, g, b]: Rgb): string => `rgb(${r},${g},${b})`;

/** Little-endian RGBA, as a Uint32 view of ImageData wants it. */
export const pack = ([r, g, b]: Rgb): number => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

/** The colour of a pattern's marks on a given ground: light on dark, dark on light, never another hue. */
export function inkOn([r, g, b]: Rgb): Rgb {
  const light = (0.299 * r + 0.587 * g + 0.114 * b) / 255;
  const [target, a] = light < 0.55 ? [255, 0.62] : [0, 0.66];
  return [r, g, b].map((x) => clamp8(x * (1 - a) + target * a)) as unknown as Rgb;
}

/** "#rgb", "#rrggbb" or "rgb(...)" from the style sheet. */
export function parseColour(text: string): Rgb {
  const hex = /^#([0-9a-f]{3,6})$/i.exec(text);
  if (hex) {
    const h = hex[1]!.length === 3 ? [...hex[1]!].map((c) => c + c).join('') : hex[1]!.padEnd(6, '0');
    return [0, 2, 4].map((i) => parseInt(h.slice(i, i + 2), 16)) as unknown as Rgb;
  }
  return (text.match(/[\d.]+/g) ?? ['0', '0', '0']).slice(0, 3).map(Number) as unknown as Rgb;
}

export interface Scale {
  top: number;
  mode: string;
  /** The place on the legend's bar, 0 to 1, of a value of at least 1. */
  fraction(value: number): number;
  /** The table's entry for a place. */
  entry(fraction: number): number;
  /** The table's entry: 0 only for no traffic. */
  level(value: number): number;
}

/** The scale up to `top`; `bright` (-4 to 4) moves the middle of the table down or up. */
export function makeScale(top: number, mode: string, bright = 0): Scale {
  const max = Math.max(1, top);
  const logTop = Math.log(max);
  const power = 2 ** (-bright / 2);
  const plain = mode === 'linear'
    ? (v: number): number => Math.min(1, v / max)
    : (v: number): number => (v <= 1 ? (max <= 1 ? 1 : 0) : logTop === 0 ? 1 : Math.min(1, Math.log(v) / logTop));
  const fraction = bright === 0 ? plain : (v: number): number => plain(v) ** power;
  const entry = (f: number): number => 1 + Math.round(254 * (FLOOR + (1 - FLOOR) * f));
  return { top: max, mode, fraction, entry, level: (v) => (v > 0 ? entry(fraction(v)) : 0) };
}

/** A round value at or above `max`, so that a refresh or a small step does not change every colour. */
export function roundTop(max: number, bytes: boolean): number {
  if (!(max > 1)) return 1;
  if (bytes && max >= 1024) return 2 ** Math.ceil(Math.log2(max) - 1e-9);
  const magnitude = 10 ** Math.floor(Math.log10(max));
  return [1, 1.5, 2, 3, 5, 7, 10].map((k) => k * magnitude).find((v) => v >= max) ?? max;
}

/** For every quantised value the packed colour and the packed ink of a pattern on it. */
export function colourTables(scale: Scale, palette: Rgb[]): { colour: Uint32Array; ink: Uint32Array } {
  const packed = palette.map(pack);
  const inks = palette.map((c) => pack(inkOn(c)));
  const colour = new Uint32Array(65536);
  const ink = new Uint32Array(65536);
  for (let q = 0; q < 65536; q++) {
    const level = q === 0 ? 0 : scale.level(valueOf(q));
    colour[q] = packed[level];
    ink[q] = inks[level];
  }
  return { colour, ink };
}

/** Values worth a number on the legend, from the least to the top. */
export function scaleMarks(scale: Scale, room: number, bytes = false): number[] {
  const { top, mode } = scale;
  if (top <= 1) return [1];
  const marks: number[] = [];
  if (mode === 'linear') {
    const n = Math.max(1, Math.min(5, Math.floor(room / 56)));
    const raw = top / n;
    const base = bytes && raw >= 1024 ? 1024 ** Math.floor(Math.log2(raw) / 10) : 1;
    const mag = base * 10 ** Math.floor(Math.log10(raw / base));
    const unit = [1, 2, 2.5, 5, 10].map((k) => k * mag).find((k) => k >= raw) ?? raw;
    for (let v = 0; v < top; v += unit) marks.push(v);
  } else {
    const base = bytes ? 32 : 10;
    const decades = Math.log(top) / Math.log(base);
    const each = Math.max(1, Math.ceil(decades / Math.max(1, Math.floor(room / (bytes ? 56 : 44)))));
    for (let d = 0; d <= decades + 1e-9; d += each) marks.push(Math.round(base ** d));
    if (decades < 2) for (const v of [2, 5, 20, 50]) if (v < top) marks.push(v);
  }
  const gap = (bytes ? 54 : 40) / room;
  const kept: number[] = [];
  for (const v of marks.sort((a, b) => a - b)) {
    const f = v >= 1 ? scale.fraction(v) : 0;
    if (f > 1 - gap) break;
    const last = kept[kept.length - 1];
    if (last === undefined || f - (last >= 1 ? scale.fraction(last) : 0) >= gap) kept.push(v);
  }
  return [...kept, top];
}
