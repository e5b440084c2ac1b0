// The cells at every zoom: a pyramid of typed arrays, each level half of a finer one along one axis.
// Invariants: pooling takes the largest value and all marks of what it puts together, on both axes, so no cell
// can vanish; a level's cells begin at whole multiples of its size, so a picture does not flicker while it is moved.
// Must not know colours, pixels or the document.

import { FLAG, STATE, type Model } from '../model/answer';

/** Steps of the quantised logarithm in one doubling of a value. */
const STEPS = 1000;
const LAST = 65535;

/** A value as 16 bits: 0 only for 0, never smaller for a larger value, within 0.07 % in between. */
export function quantise(value: number): number {
  return value > 0 ? Math.min(LAST, Math.max(1, Math.round(Math.log2(value + 1) * STEPS))) : 0;
}

/** The value that a quantised one stands for. */
export const valueOf = (quantised: number): number => 2 ** (quantised / STEPS) - 1;

/** Marks of a cell: six bits of states that are in it, then ten of flags. */
export const FLAG_SHIFT = 6;
export const stateBit = (state: number): number => 1 << state;
export const RECORDED = stateBit(STATE.measured) | stateBit(STATE.idle) | stateBit(STATE.partial);
export const MISSING = stateBit(STATE.missing);
export const PENDING = stateBit(STATE.pending);

/** The flags to draw for a cell's marks: pooled with a gap, what was recorded is partial. */
export function flagsOf(marks: number): number {
  const flags = marks >> FLAG_SHIFT;
  return marks & (stateBit(STATE.partial) | MISSING) ? flags | FLAG.partial : flags;
}

export interface Level {
  rows: number;
  cols: number;
  value: Uint16Array;
  marks: Uint16Array;
}

function halveColumns(from: Level): Level {
  const cols = Math.ceil(from.cols / 2);
  const size = from.rows * cols;
  const to: Level = { rows: from.rows, cols, value: new Uint16Array(size), marks: new Uint16Array(size) };
  for (let r = 0; r < from.rows; r++) {
    const a = r * from.cols;
    const b = r * cols;
    for (let c = 0; c < from.cols; c++) {
      const at = b + (c >> 1);
      if (from.value[a + c] > to.value[at]) to.value[at] = from.value[a + c];
      to.marks[at] |= from.marks[a + c];
    }
  }
  return to;
}

function halveRows(from: Level): Level {
  const rows = Math.ceil(from.rows / 2);
  const size = rows * from.cols;
  const to: Level = { rows, cols: from.cols, value: new Uint16Array(size), marks: new Uint16Array(size) };
  for (let r = 0; r < from.rows; r++) {
    const a = r * from.cols;
    const b = (r >> 1) * from.cols;
    for (let c = 0; c < from.cols; c++) {
      if (from.value[a + c] > to.value[b + c]) to.value[b + c] = from.value[a + c];
      to.marks[b + c] |= from.marks[a + c];
    }
  }
  return to;
}

/** Up to this many columns in a cell, cells begin at the same times in every answer. */
const ALIGNED = 64;

export class Pyramid {
  private readonly levels = new Map<number, Level>();

  /** `shift` empty columns lie before the model's first. */
  constructor(base: Level, readonly shift = 0) {
    this.levels.set(0, base);
  }

  static of(m: Model, values: Float64Array): Pyramid {
    // Columns are pooled by the clock, not by where an answer happens to begin.
    const shift = Math.round(m.t0 / m.step) % ALIGNED;
    const cols = m.n + shift;
    const rows = m.rows.length;
    const value = new Uint16Array(rows * cols);
    const marks = new Uint16Array(rows * cols);
    for (let r = 0; r < rows; r++) {
      for (let i = r * m.n, at = r * cols + shift, stop = i + m.n; i < stop; i++, at++) {
        if (values[i] > 0) value[at] = quantise(values[i]);
        marks[at] = (1 << m.state[i]) | (m.flags[i] << FLAG_SHIFT);
      }
    }
    return new Pyramid({ rows, cols, value, marks }, shift);
  }

  /** Cells of `2^x` columns by `2^y` rows; made when first asked for. */
  level(x: number, y: number): Level {
    const key = x * 64 + y;
    let level = this.levels.get(key);
    if (!level) {
      level = x > 0 ? halveColumns(this.level(x - 1, y)) : halveRows(this.level(x, y - 1));
      this.levels.set(key, level);
    }
    return level;
  }
}

/** The finest level whose cells are at least a pixel long: `cells` of the base on one pixel. */
export const levelFor = (cells: number): number => Math.max(0, Math.ceil(Math.log2(cells) - 1e-9));
