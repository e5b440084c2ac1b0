// The marks that tell states and flags apart without hue, as 12 x 12 bit tiles.
// One drawing each for the picture and for the legend; must not choose colours.

import { FLAG } from '../model/answer';

export const TILE = 12;
/** Marks of cells that are not flags in the answer. */
export const MARK = { missing: 1 << 12, pending: 1 << 13 } as const;

const plus = (a: number): number => (a + 2 * TILE) % TILE;

const DRAW: readonly (readonly [number, (x: number, y: number) => boolean])[] = [
  [MARK.missing, (x, y) => (x + y) % 6 < 2],
  [MARK.pending, (x, y) => x % 4 === 1 && y % 4 === 1],
  [FLAG.partial, (x, y) => plus(x - y) % 6 === 0],
  [FLAG.inherited, (x, y) => (x % 6 === 1 && y % 12 === 1) || (x % 6 === 4 && y % 12 === 7)],
  [FLAG.apportioned, (x, y) => y % 6 === 3 && x % 6 < 3],
  [FLAG.conflict, (x, y) => x < 7 && y < 7 && (x === y || x + y === 6)],
  [FLAG.sampled, (_x, y) => y % 6 === 0],
  [FLAG.soft, (x, y) => y % 6 === 2 && x % 2 === 0],
  [FLAG.stale_leader, (x, y) => x === 9 && y % 6 < 4],
  [FLAG.stretched, (x, y) => plus(x + Math.abs((y % 6) - 3)) === 8],
  [FLAG.shed, (x) => x % 6 === 3],
  [FLAG.saturated, (x, y) => (x === 6 && y >= 3 && y <= 9) || (y === 6 && x >= 3 && x <= 9)],
];

const cache = new Map<number, Uint8Array>();

/** The tile for a set of marks, 144 bytes of 0 or 1, or null for none. */
export function tileOf(mask: number): Uint8Array | null {
  if (mask === 0) return null;
  let tile = cache.get(mask);
  if (!tile) {
    tile = new Uint8Array(TILE * TILE);
    for (const [bit, draw] of DRAW) {
      if (!(mask & bit)) continue;
      for (let y = 0; y < TILE; y++) for (let x = 0; x < TILE; x++) if (draw(x, y)) tile[y * TILE + x] = 1;
    }
    cache.set(mask, tile);
  }
  return tile;
}
