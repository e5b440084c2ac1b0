// Splits, merges, moves, ... as small marks above the picture and lines in it; grouping and hit testing.
// Must not fetch; the text of an event is shown elsewhere as text nodes.

import { cleanLabel } from '../model/keys';
import type { Row } from '../model/answer';
import type { Box, Theme } from './theme';

export const KIND_WORDS: Record<string, string> = {
  split: 'Split', merge: 'Merge', move: 'Move', create: 'Create', drop: 'Drop', leader: 'Leader change', backfill: 'First seen',
};

export interface Happening {
  ms: number;
  kind: string;
  text: string;
  lineages: Set<string>;
  routes: Set<string>;
}

export function decodeEvents(answer: unknown): Happening[] {
  const events = (answer as { events?: unknown } | null)?.events;
  const list = (Array.isArray(events) ? events : []) as Record<string, unknown>[];
  return list.map((e) => ({
    ms: Number(e.unix_ms),
    kind: Object.hasOwn(KIND_WORDS, String(e.kind)) ? String(e.kind) : 'other',
    text: cleanLabel(e.text ?? ''),
    lineages: new Set(Array.isArray(e.lineage_ids) ? e.lineage_ids.map(String) : []),
    routes: new Set(Array.isArray(e.route_ids) ? e.route_ids.map(String) : []),
  })).filter((e) => Number.isFinite(e.ms)).sort((a, b) => a.ms - b.ms);
}

export interface EventMark { x: number; ms: number; events: Happening[] }

/** Marks with a place: events closer than `near` pixels become one mark that lists them. */
export function placeMarks(events: Happening[], from: number, to: number, box: Box, near = 9): EventMark[] {
  const marks: EventMark[] = [];
  for (const e of events) {
    if (e.ms < from || e.ms >= to) continue;
    const x = box.x + ((e.ms - from) / (to - from)) * box.w;
    const last = marks[marks.length - 1];
    if (last && x - last.x < near) last.events.push(e);
    else marks.push({ x, ms: e.ms, events: [e] });
  }
  return marks;
}

const ORDER = ['split', 'merge', 'move', 'drop', 'create', 'leader', 'backfill', 'other'];
const QUIET = new Set(['backfill', 'create', 'other']);

/** Lines of one mark, as points from its top; the shape says the kind. */
const SHAPES: Record<string, readonly (readonly (readonly [number, number])[])[]> = {
  split: [[[-4, 7], [0, 0], [4, 7]]],
  merge: [[[-4, 0], [0, 7], [4, 0]]],
  move: [[[-4, 3.5], [4, 3.5]], [[1, 0.5], [4, 3.5], [1, 6.5]]],
  drop: [[[-3, 0.5], [3, 6.5]], [[3, 0.5], [-3, 6.5]]],
  create: [[[-3.5, 3.5], [3.5, 3.5]], [[0, 0], [0, 7]]],
  leader: [[[0, 0], [3.5, 3.5], [0, 7], [-3.5, 3.5], [0, 0]]],
  backfill: [[[0, 2], [0, 7]]],
  other: [[[0, 2], [0, 7]]],
};

export const kindOf = (mark: EventMark): string => ORDER.find((k) => mark.events.some((e) => e.kind === k)) ?? 'other';

export function drawMarks(ctx: CanvasRenderingContext2D, marks: EventMark[], box: Box, theme: Theme): void {
  ctx.save();
  ctx.lineJoin = 'round';
  for (const m of marks) {
    const kind = kindOf(m);
    ctx.strokeStyle = QUIET.has(kind) ? theme.dim : theme.fg;
    ctx.lineWidth = 1.5;
    ctx.beginPath();
    for (const line of SHAPES[kind]) {
      line.forEach(([x, y], i) => (i === 0 ? ctx.moveTo(m.x + x, box.y + 2 + y) : ctx.lineTo(m.x + x, box.y + 2 + y)));
    }
    ctx.stroke();
    if (m.events.length > 1) {
      ctx.beginPath();
      ctx.arc(m.x, box.y + box.h - 3, 1.2, 0, 2 * Math.PI);
      ctx.fillStyle = theme.dim;
      ctx.fill();
    }
  }
  ctx.restore();
}

/** A window that is kept beyond the retention. */
export interface Pin { from: number; to: number; note: string }

export function decodePins(answer: unknown): Pin[] {
  const pins = (answer as { pins?: unknown } | null)?.pins;
  return ((Array.isArray(pins) ? pins : []) as Record<string, unknown>[]).map((pin) => ({
    from: Number(pin.from_unix_ms) || 0, to: Number(pin.to_unix_ms) || 0, note: cleanLabel(pin.note ?? ''),
  }));
}

/** Pins as bars just above the picture. */
export function drawPins(ctx: CanvasRenderingContext2D, pins: Pin[], from: number, to: number, box: Box, theme: Theme): void {
  ctx.fillStyle = theme.accent;
  for (const pin of pins) {
    const at = (ms: number): number => box.x + (Math.max(0, Math.min(1, (ms - from) / (to - from)))) * box.w;
    if (pin.to > from && pin.from < to) ctx.fillRect(at(pin.from), box.y + box.h - 1, Math.max(2, at(pin.to) - at(pin.from)), 3);
  }
}

export function markAt(marks: EventMark[], x: number, reach = 7): EventMark | null {
  let best: EventMark | null = null;
  for (const m of marks) {
    const d = Math.abs(m.x - x);
    if (d <= reach && (!best || d < Math.abs(best.x - x))) best = m;
  }
  return best;
}

/** Whether a row of the picture is one that an event is about. */
export const touches = (event: Happening, row: Row): boolean =>
  event.lineages.has(row.lineage) || row.routes.some((id) => event.routes.has(id));
