// raster.js: the picture's pixels. Pools cells by MAX on both axes when a pixel holds several, draws exact
// rectangles when a cell holds several pixels. Works on typed arrays; must not touch the document.

import { FLAG, STATE } from './model.js';
import { MARK, TILE, tileOf } from './pattern.js';
import { inkOn, pack } from './colour.js';

const BIT = { value: 1 << STATE.measured | 1 << STATE.idle | 1 << STATE.partial, missing: 1 << STATE.missing, pending: 1 << STATE.pending, partial: 1 << STATE.partial };

/**
 * Which source cells each pixel shows along one axis: `seg[p]` indexes `lo`/`hi` (half open); -1 is outside.
 * With several cells a pixel every cell belongs to exactly one pixel, so none can vanish.
 */
export function segments(pixels, count, first, perPixel) {
  const seg = new Int32Array(pixels).fill(-1);
  const lo = [];
  const hi = [];
  let last = -2;
  for (let p = 0; p < pixels; p++) {
    let a;
    let b;
    if (perPixel > 1) {
      a = Math.floor(first + p * perPixel + 1e-9);
      b = Math.floor(first + (p + 1) * perPixel + 1e-9);
    } else {
      a = Math.floor(first + (p + 0.5) * perPixel);
      b = a + 1;
    }
    a = Math.max(0, a);
    b = Math.min(count, b);
    if (b <= a) continue;
    if (perPixel > 1 || a !== last) {
      lo.push(a);
      hi.push(b);
      last = a;
    }
    seg[p] = lo.length - 1;
  }
  return { seg, lo: Int32Array.from(lo), hi: Int32Array.from(hi) };
}

/** Columns for a time view [from, to) over `width` device pixels. */
export const columnSegments = (m, view, width) =>
  segments(width, m.n, (view.from - m.t0) / m.step, (view.to - view.from) / m.step / width);

export const rowSegments = (m, height) => segments(height, m.rows.length, 0, m.rows.length / height);

/** Pools the cells of every (row, column) segment: largest value, states seen, flags together. */
function pool(m, values, rows, cols) {
  const pw = cols.lo.length;
  const ph = rows.lo.length;
  const value = new Float64Array(pw * ph);
  const seen = new Uint8Array(pw * ph);
  const flags = new Uint16Array(pw * ph);
  const { n, state } = m;
  for (let j = 0; j < ph; j++) {
    for (let r = rows.lo[j]; r < rows.hi[j]; r++) {
      const base = r * n;
      const out = j * pw;
      for (let i = 0; i < pw; i++) {
        let v = value[out + i];
        let s = seen[out + i];
        let f = flags[out + i];
        for (let c = cols.lo[i], stop = cols.hi[i]; c < stop; c++) {
          const k = base + c;
          if (values[k] > v) v = values[k];
          s |= 1 << state[k];
          f |= m.flags[k];
        }
        value[out + i] = v;
        seen[out + i] = s;
        flags[out + i] = f;
      }
    }
  }
  return { pw, ph, value, seen, flags };
}

/** The largest value in the view, the states and the flags in it; for the scale and the legend. */
export function survey(m, values, cols) {
  let max = 0;
  let states = 0;
  let flags = 0;
  if (cols.lo.length) {
    const c0 = cols.lo[0];
    const c1 = cols.hi[cols.hi.length - 1];
    for (let r = 0; r < m.rows.length; r++) {
      for (let k = r * m.n + c0, stop = r * m.n + c1; k < stop; k++) {
        if (values[k] > max) max = values[k];
        states |= 1 << m.state[k];
        flags |= m.flags[k];
      }
    }
  }
  return { max, states, flags };
}

/** Paints the whole plot into `image` (ImageData). `unit` is the pattern's pixel in device pixels. */
export function paint(image, m, values, rows, cols, scale, palette, theme, unit) {
  const { width, height } = image;
  const out = new Uint32Array(image.data.buffer);
  const { pw, ph, value, seen, flags } = pool(m, values, rows, cols);
  const colours = palette.map(pack);
  const inks = palette.map((c) => pack(inkOn(c)));
  const ground = pack(theme.bg);
  const missing = pack(theme.missing);
  const missingInk = pack(theme.missingInk);
  const pendingInk = pack(theme.pendingInk);

  const base = new Uint32Array(pw * ph);
  const ink = new Uint32Array(pw * ph);
  const tile = new Uint16Array(pw * ph);
  const tiles = [null];
  const tileIndex = new Map([[0, 0]]);
  const tileFor = (mask) => {
    let t = tileIndex.get(mask);
    if (t === undefined) {
      t = tiles.length;
      tiles.push(tileOf(mask));
      tileIndex.set(mask, t);
    }
    return t;
  };
  const missingTile = tileFor(MARK.missing);
  const pendingTile = tileFor(MARK.pending);

  for (let p = 0; p < pw * ph; p++) {
    const s = seen[p];
    if (s & BIT.value || value[p] > 0) {
      const level = scale.level(value[p]);
      base[p] = colours[level];
      let mask = flags[p];
      if (s & (BIT.partial | BIT.missing)) mask |= FLAG.partial;
      if (s & BIT.pending && value[p] > 0) mask |= MARK.pending;
      if (mask) {
        tile[p] = tileFor(mask);
        ink[p] = inks[level];
      }
    } else if (s & BIT.missing) {
      base[p] = missing;
      ink[p] = missingInk;
      tile[p] = missingTile;
    } else if (s & BIT.pending) {
      base[p] = ground;
      ink[p] = pendingInk;
      tile[p] = pendingTile;
    } else {
      base[p] = ground;
    }
  }

  const tx = new Uint8Array(width);
  for (let x = 0; x < width; x++) tx[x] = Math.floor(x / unit) % TILE;
  for (let y = 0; y < height; y++) {
    const j = rows.seg[y];
    const line = y * width;
    if (j < 0) {
      out.fill(ground, line, line + width);
      continue;
    }
    const rowBase = j * pw;
    const ty = (Math.floor(y / unit) % TILE) * TILE;
    for (let x = 0; x < width; x++) {
      const i = cols.seg[x];
      if (i < 0) {
        out[line + x] = ground;
        continue;
      }
      const p = rowBase + i;
      const t = tile[p];
      out[line + x] = t !== 0 && tiles[t][ty + tx[x]] !== 0 ? ink[p] : base[p];
    }
  }
}

/** Of the cells under one pixel, the one that gave it its colour; and how many there are. */
export function cellUnder(m, values, rows, cols, px, py) {
  const i = cols.seg[px];
  const j = rows.seg[py];
  if (i === undefined || j === undefined || i < 0 || j < 0) return null;
  let best = null;
  let bestRank = -1;
  for (let r = rows.lo[j]; r < rows.hi[j]; r++) {
    for (let c = cols.lo[i]; c < cols.hi[i]; c++) {
      const k = r * m.n + c;
      const s = m.state[k];
      const rank = values[k] > 0 ? 3 + values[k] : s === STATE.nonexistent ? 0 : s === STATE.pending ? 1 : s === STATE.missing ? 2 : 3;
      if (rank > bestRank) {
        bestRank = rank;
        best = { row: r, col: c };
      }
    }
  }
  return best && { ...best, cells: (rows.hi[j] - rows.lo[j]) * (cols.hi[i] - cols.lo[i]) };
}

/** The largest cell of the view, for the key that jumps to it. */
export function largest(m, values, cols) {
  let best = null;
  let top = 0;
  if (!cols.lo.length) return null;
  const c0 = cols.lo[0];
  const c1 = cols.hi[cols.hi.length - 1];
  for (let r = 0; r < m.rows.length; r++) {
    for (let c = c0; c < c1; c++) {
      if (values[r * m.n + c] > top) {
        top = values[r * m.n + c];
        best = { row: r, col: c };
      }
    }
  }
  return best;
}
