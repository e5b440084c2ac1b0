import { describe, expect, it } from 'vitest';
import { decode, FLAG, type Model } from '../model/answer';
import { colourTables, makeScale, pack, tableOf } from './colour';
import { Pyramid } from './pyramid';
import { cellUnder, gridOf, largest, paint, survey, type Inks } from './raster';

const MINUTE = 60_000;
const GROUND = pack([1, 2, 3]);
const MISSING = pack([4, 5, 6]);
const MISSING_INK = pack([7, 8, 9]);

function model(rows: number, cols: number, fill: (r: number, c: number) => number, states?: [string, number][]): Model {
  return decode({
    step_ms: MINUTE, recorded_step_ms: MINUTE,
    column_unix_ms: Array.from({ length: cols }, (_, c) => c * MINUTE),
    rows: Array.from({ length: rows }, (_, r) => ({
      bucket_id: `route:${r}`, start: btoa(String(r).padStart(5, '0')), end: btoa(String(r + 1).padStart(5, '0')),
      values: Array.from({ length: cols }, (_c, c) => fill(r, c)), ...(states ? { states } : {}),
    })),
  });
}

function picture(m: Model, view: { from: number; to: number; y0: number; y1: number }, width: number, height: number, top: number, pyramid = Pyramid.of(m, m.values)): Uint32Array {
  const grid = gridOf(m, pyramid, view, width, height);
  const { colour, ink } = colourTables(makeScale(top, 'log'), tableOf('viridis'));
  const inks: Inks = { colour, ink, ground: GROUND, missing: MISSING, missingInk: MISSING_INK, pendingInk: 0 };
  const out = new Uint32Array(width * height);
  paint(out, width, height, grid, inks, 1);
  return out;
}

describe('the picture', () => {
  it('shows one hot minute at every zoom, in its full colour', () => {
    const m = model(1024, 10_080, (r, c) => (r === 517 && c === 5003 ? 1000 : 0));
    const brightest = pack(tableOf('viridis')[255]);
    const at = 5003 * MINUTE;
    const pyramid = Pyramid.of(m, m.values);
    for (const minutes of [10, 60, 360, 1440, 4000, 10_080]) {
      for (const rows of [1, 20, 300, 1024]) {
        const from = Math.max(0, Math.min(10_080 * MINUTE - minutes * MINUTE, at - (minutes / 3) * MINUTE));
        const y0 = Math.max(0, Math.min(1024 - rows, 517 - Math.floor(rows / 2)));
        const pixels = picture(m, { from, to: from + minutes * MINUTE, y0, y1: y0 + rows }, 731, 397, 1000, pyramid);
        expect(pixels.includes(brightest), `${minutes} min, ${rows} rows`).toBe(true);
      }
    }
  });

  it('never paints outside of what was asked, and draws a gap as a gap', () => {
    const m = model(2, 10, () => 5, [['measured', 4], ['missing', 2], ['measured', 4]]);
    m.values.fill(0, 4, 6);
    m.values.fill(0, 14, 16);
    const pixels = picture(m, { from: -5 * MINUTE, to: 15 * MINUTE, y0: 0, y1: 2 }, 200, 20, 5);
    const kinds = (x: number): Set<number> => new Set(Array.from({ length: 20 }, (_, y) => pixels[y * 200 + x]));
    for (const x of [0, 49, 150, 199]) expect(kinds(x)).toEqual(new Set([GROUND]));
    for (let x = 90; x < 110; x++) for (const p of kinds(x)) expect([MISSING, MISSING_INK]).toContain(p);
    expect(kinds(60)).toEqual(new Set([pack(tableOf('viridis')[255])]));
  });

  it('is the same wherever the answer begins', () => {
    const value = (r: number, minute: number): number => ((minute * 7919 + r) % 13 === 0 ? 900 : (minute + r) % 50);
    const late = (first: number, cols: number): Model => {
      const m = model(30, cols, (r, c) => value(r, first + c));
      return { ...m, t0: first * MINUTE, tEnd: (first + cols) * MINUTE };
    };
    const view = { from: 1103 * MINUTE, to: 1797 * MINUTE, y0: 0, y1: 30 };
    const want = picture(late(1000, 1000), view, 201, 60, 1000);
    for (const first of [0, 777, 1024, 1103]) expect(picture(late(first, 2000 - first), view, 201, 60, 1000)).toEqual(want);
  });

  it('agrees with what is found under a pixel', () => {
    const m = model(50, 300, (r, c) => (r * 7919 + c * 104_729) % 1000);
    const view = { from: 13 * MINUTE, to: 287 * MINUTE, y0: 3, y1: 47 };
    const grid = gridOf(m, Pyramid.of(m, m.values), view, 90, 31);
    const pixels = picture(m, view, 90, 31, 1000);
    const scale = makeScale(1000, 'log');
    for (let y = 0; y < 31; y++) {
      for (let x = 0; x < 90; x++) {
        const cell = cellUnder(m, m.values, grid, x, y);
        if (!cell) throw new Error(`nothing at ${x}, ${y}`);
        const value = m.values[cell.row * 300 + cell.col];
        const want = scale.level(value);
        const near = [want - 1, want, want + 1].filter((l) => l >= 0 && l < 256).map((l) => pack(tableOf('viridis')[l]));
        expect(near).toContain(pixels[y * 90 + x]);
      }
    }
    const top = largest(m, m.values, grid);
    expect(top && m.values[top.row * 300 + top.col]).toBeGreaterThanOrEqual(999);
    expect(survey(m, m.values, grid).max).toBe(top && m.values[top.row * 300 + top.col]);
  });
});

describe('answers', () => {
  it('keep a column that the node left out as a hole on a true time axis', () => {
    const m = decode({ step_ms: 1000, column_unix_ms: [0, 1000, 4000], rows: [{ values: [1, 2, 3], states: [['measured', 3]] }] });
    expect(m.n).toBe(5);
    expect([...m.values]).toEqual([1, 2, 0, 0, 3]);
    expect([...m.state]).toEqual([0, 0, 2, 2, 0]);
  });

  it('take the flags by name, and believe nothing', () => {
    const m = decode({ step_ms: 1000, column_unix_ms: [0, 1000], flag_bits: { shed: 1, sampled: 256 }, rows: [{ values: ['x', null], flags: [1, 256], states: [['odd', 2]] }] });
    expect([...m.flags]).toEqual([FLAG.shed, FLAG.sampled]);
    expect([...m.values]).toEqual([0, 0]);
    expect(decode({}).n).toBe(0);
    expect(decode({ rows: 'x', column_unix_ms: 7 }).rows).toEqual([]);
  });
});
