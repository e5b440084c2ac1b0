import { describe, expect, it } from 'vitest';
import { FLAG, STATE } from '../model/answer';
import { FLAG_SHIFT, flagsOf, levelFor, Pyramid, quantise, stateBit, valueOf, type Level } from './pyramid';

/** A small generator: the same cells in every run. */
function cells(rows: number, cols: number, seed: number): Level {
  let x = seed;
  const next = (): number => { x = (x * 1103515245 + 12345) % 2147483648; return x / 2147483648; };
  const level: Level = { rows, cols, value: new Uint16Array(rows * cols), marks: new Uint16Array(rows * cols) };
  for (let i = 0; i < rows * cols; i++) {
    level.value[i] = next() < 0.7 ? 0 : quantise(Math.floor(10 ** (next() * 9)));
    level.marks[i] = stateBit(Math.floor(next() * 6)) | (next() < 0.1 ? FLAG.sampled << FLAG_SHIFT : 0);
  }
  return level;
}

describe('the pyramid', () => {
  it('pools by the largest value and all marks, on both axes, at every level', () => {
    for (const [rows, cols] of [[1, 1], [3, 5], [17, 33], [64, 100]]) {
      const base = cells(rows, cols, rows * 1000 + cols);
      const pyramid = new Pyramid(base);
      for (let lx = 0; lx < 8; lx++) {
        for (let ly = 0; ly < 7; ly++) {
          const level = pyramid.level(lx, ly);
          // The slow way: every cell of the base into the cell that holds it.
          const value = new Uint16Array(level.rows * level.cols);
          const marks = new Uint16Array(level.rows * level.cols);
          for (let r = 0; r < rows; r++) {
            for (let c = 0; c < cols; c++) {
              const at = (r >> ly) * level.cols + (c >> lx);
              value[at] = Math.max(value[at], base.value[r * cols + c]);
              marks[at] |= base.marks[r * cols + c];
            }
          }
          expect(level.value).toEqual(value);
          expect(level.marks).toEqual(marks);
        }
      }
    }
  });

  it('has a cell for every pixel and a pixel for every cell', () => {
    for (const per of [0.01, 0.5, 1, 1.0001, 1.5, 2, 7, 8, 8.5, 1000]) {
      const size = 2 ** levelFor(per);
      expect(size).toBeGreaterThanOrEqual(per - 1e-6);
      expect(size).toBeLessThan(Math.max(2 * per, 1 + 1e-9) + 1e-6);
    }
  });

  it('tells one from nothing and never turns the order round', () => {
    expect(quantise(0)).toBe(0);
    let last = 0;
    for (let v = 1; v < 2 ** 64; v = Math.ceil(v * 1.01)) {
      const q = quantise(v);
      expect(q).toBeGreaterThanOrEqual(last);
      expect(Math.abs(valueOf(q) - v) / v).toBeLessThan(0.0008);
      last = q;
    }
  });

  it('draws what was recorded beside a gap as partial', () => {
    expect(flagsOf(stateBit(STATE.measured) | stateBit(STATE.missing))).toBe(FLAG.partial);
    expect(flagsOf(stateBit(STATE.measured) | (FLAG.shed << FLAG_SHIFT))).toBe(FLAG.shed);
    expect(flagsOf(stateBit(STATE.idle))).toBe(0);
  });
});
