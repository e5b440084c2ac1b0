// The picture's pixels, from the pyramid: each pixel shows one cell of a level whose cells are at least a pixel.
// Works on typed arrays; must not touch the document.

import type { Model } from '../model/answer';
import { STATE } from '../model/answer';
import { flagsOf, levelFor, MISSING, PENDING, RECORDED, type Level, type Pyramid } from './pyramid';
import { MARK, TILE, tileOf } from './pattern';
import type { View } from './view';

/** For each pixel along one axis the cell of the level, -1 outside. `first` and `per` in cells of the base, of which `shift` more lie before. */
export function cellsOfPixels(pixels: number, count: number, first: number, per: number, level: number, shift = 0): Int32Array {
  const out = new Int32Array(pixels);
  const size = 2 ** level;
  for (let p = 0; p < pixels; p++) {
    const base = Math.floor(first + (p + 0.5) * per);
    out[p] = base < 0 || base >= count ? -1 : Math.floor((base + shift) / size);
  }
  return out;
}

/** Which cells a view shows on a plot of `width` x `height` device pixels. */
export interface Grid {
  level: Level;
  levelX: number;
  levelY: number;
  /** Empty columns of the level's base before the model's first. */
  shift: number;
  cols: Int32Array;
  rows: Int32Array;
  /** Half-open, in cells of the base. */
  col0: number;
  col1: number;
  row0: number;
  row1: number;
}

export function gridOf(m: Model, pyramid: Pyramid, view: View, width: number, height: number): Grid {
  const perX = (view.to - view.from) / m.step / width;
  const perY = (view.y1 - view.y0) / height;
  const levelX = levelFor(perX);
  const levelY = levelFor(perY);
  const firstX = (view.from - m.t0) / m.step;
  const clamp = (v: number, n: number): number => Math.max(0, Math.min(n, v));
  return {
    level: pyramid.level(levelX, levelY), levelX, levelY,
    shift: pyramid.shift,
    cols: cellsOfPixels(width, m.n, firstX, perX, levelX, pyramid.shift),
    rows: cellsOfPixels(height, m.rows.length, view.y0, perY, levelY),
    col0: clamp(Math.floor(firstX + 1e-9), m.n),
    col1: clamp(Math.ceil((view.to - m.t0) / m.step - 1e-9), m.n),
    row0: clamp(Math.floor(view.y0 + 1e-9), m.rows.length),
    row1: clamp(Math.ceil(view.y1 - 1e-9), m.rows.length),
  };
}

/** The largest value in view, exact, and all marks in it; for the scale and the legend. */
export function survey(m: Model, values: Float64Array, grid: Grid): { max: number; marks: number } {
  const { level, levelX, levelY, shift } = grid;
  let marks = 0;
  const stopX = Math.ceil((grid.col1 + shift) / 2 ** levelX);
  const stopY = Math.ceil(grid.row1 / 2 ** levelY);
  for (let r = grid.row0 >> levelY; r < stopY; r++) {
    for (let k = r * level.cols + ((grid.col0 + shift) >> levelX), stop = r * level.cols + stopX; k < stop; k++) marks |= level.marks[k];
  }
  let max = 0;
  for (let r = grid.row0; r < grid.row1; r++) {
    for (let k = r * m.n + grid.col0, stop = r * m.n + grid.col1; k < stop; k++) if (values[k] > max) max = values[k];
  }
  return { max, marks };
}

export interface Inks {
  colour: Uint32Array;
  ink: Uint32Array;
  ground: number;
  missing: number;
  missingInk: number;
  pendingInk: number;
}

/** How a cell with these marks is drawn: 0 by its value, 1 missing, 2 nothing (pending has a pattern there). */
interface Look { kind: 0 | 1 | 2; tile: Uint8Array | null }

const LOOKS: (Look | undefined)[] = new Array<Look | undefined>(2 * 65536);

function lookOf(marks: number, hasValue: boolean): Look {
  const key = marks * 2 + (hasValue ? 1 : 0);
  let look = LOOKS[key];
  if (!look) {
    if (marks & RECORDED || hasValue) {
      const pending = marks & PENDING && hasValue ? MARK.pending : 0;
      look = { kind: 0, tile: tileOf(flagsOf(marks) | pending) };
    } else if (marks & MISSING) look = { kind: 1, tile: tileOf(MARK.missing) };
    else if (marks & PENDING) look = { kind: 2, tile: tileOf(MARK.pending) };
    else look = { kind: 2, tile: null };
    LOOKS[key] = look;
  }
  return look;
}

/** Paints the whole plot. `unit` is the pattern's pixel in device pixels. */
export function paint(out: Uint32Array, width: number, height: number, grid: Grid, inks: Inks, unit: number): void {
  const { level, cols, rows } = grid;
  const { colour, ink, ground, missing, missingInk, pendingInk } = inks;
  const { value, marks } = level;
  const phase = new Uint8Array(width);
  for (let x = 0; x < width; x++) phase[x] = Math.floor(x / unit) % TILE;
  const grounds = [0, missing, ground];
  let last = -2;
  let plain = false;
  for (let y = 0; y < height; y++) {
    const line = y * width;
    const row = rows[y];
    if (row === last && plain) {
      out.copyWithin(line, line - width, line);
      continue;
    }
    last = row;
    plain = true;
    if (row < 0) {
      out.fill(ground, line, line + width);
      continue;
    }
    const base = row * level.cols;
    const ty = (Math.floor(y / unit) % TILE) * TILE;
    let column = -2;
    let fill = ground;
    let dots = ground;
    let tile: Uint8Array | null = null;
    for (let x = 0; x < width; x++) {
      if (cols[x] !== column) {
        column = cols[x];
        tile = null;
        if (column < 0) fill = ground;
        else {
          const v = value[base + column];
          const look = lookOf(marks[base + column], v > 0);
          tile = look.tile;
          if (look.kind === 0) {
            fill = colour[v];
            dots = ink[v];
          } else {
            fill = grounds[look.kind];
            dots = look.kind === 1 ? missingInk : pendingInk;
          }
          if (tile !== null) plain = false;
        }
      }
      out[line + x] = tile !== null && tile[ty + phase[x]] !== 0 ? dots : fill;
    }
  }
}

export interface Cell { row: number; col: number }

/** The columns of the model, half-open, in a cell of the level. */
export function columnsOf(m: Model, grid: Grid, cell: number): [number, number] {
  const size = 2 ** grid.levelX;
  return [Math.max(0, cell * size - grid.shift), Math.min(m.n, (cell + 1) * size - grid.shift)];
}

/** Of the cells under one pixel, the one that gave it its colour; and how many there are. */
export function cellUnder(m: Model, values: Float64Array, grid: Grid, px: number, py: number): (Cell & { cells: number }) | null {
  const i = grid.cols[px] ?? -1;
  const j = grid.rows[py] ?? -1;
  if (i < 0 || j < 0) return null;
  const sy = 2 ** grid.levelY;
  const [col0, stopCol] = columnsOf(m, grid, i);
  const stopRow = Math.min(m.rows.length, (j + 1) * sy);
  let best: Cell = { row: j * sy, col: col0 };
  let bestRank = -1;
  for (let r = j * sy; r < stopRow; r++) {
    for (let c = col0; c < stopCol; c++) {
      const rank = rankOf(m, values, r * m.n + c);
      if (rank > bestRank) [bestRank, best] = [rank, { row: r, col: c }];
    }
  }
  return { ...best, cells: (stopRow - j * sy) * (stopCol - col0) };
}

function rankOf(m: Model, values: Float64Array, k: number): number {
  if (values[k] > 0) return 3 + values[k];
  const s = m.state[k];
  return s === STATE.nonexistent ? 0 : s === STATE.pending ? 1 : s === STATE.missing ? 2 : 3;
}

/** The largest cell of the view, for the key that jumps to it. */
export function largest(m: Model, values: Float64Array, grid: Grid): Cell | null {
  let best: Cell | null = null;
  let top = 0;
  for (let r = grid.row0; r < grid.row1; r++) {
    for (let c = grid.col0; c < grid.col1; c++) {
      if (values[r * m.n + c] > top) {
        top = values[r * m.n + c];
        best = { row: r, col: c };
      }
    }
  }
  return best;
}
