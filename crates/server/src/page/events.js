// events.js: splits, merges, moves, ... as small marks above the picture; grouping and hit testing.
// Must not fetch; the text of an event is shown elsewhere as text nodes.

import { cleanLabel } from './keys.js';

export const KIND_WORDS = {
  split: 'Split', merge: 'Merge', move: 'Move', create: 'Create', drop: 'Drop', leader: 'Leader change', backfill: 'First seen',
};

export function decodeEvents(answer) {
  const list = Array.isArray(answer?.events) ? answer.events : [];
  return list.map((e) => ({
    ms: Number(e.unix_ms),
    kind: Object.hasOwn(KIND_WORDS, e.kind) ? e.kind : 'other',
    text: cleanLabel(e.text ?? ''),
    group: e.group_id,
    lineages: new Set(Array.isArray(e.lineage_ids) ? e.lineage_ids : []),
    routes: new Set(Array.isArray(e.route_ids) ? e.route_ids.map(String) : []),
  })).filter((e) => Number.isFinite(e.ms)).sort((a, b) => a.ms - b.ms);
}

/** Marks with a place: events closer than `near` pixels become one mark that lists them. */
export function placeMarks(events, view, box, near = 9) {
  const marks = [];
  for (const e of events) {
    if (e.ms < view.from || e.ms >= view.to) continue;
    const x = box.x + ((e.ms - view.from) / (view.to - view.from)) * box.w;
    const last = marks[marks.length - 1];
    if (last && x - last.x < near) last.events.push(e);
    else marks.push({ x, ms: e.ms, events: [e] });
  }
  return marks;
}

const ORDER = ['split', 'merge', 'move', 'drop', 'create', 'leader', 'backfill', 'other'];

/** One mark: the shape says the kind (of several, the one that changes the picture most). */
function glyph(ctx, kind, x, y) {
  ctx.beginPath();
  if (kind === 'split') {
    ctx.moveTo(x - 4, y + 7); ctx.lineTo(x, y); ctx.lineTo(x + 4, y + 7);
  } else if (kind === 'merge') {
    ctx.moveTo(x - 4, y); ctx.lineTo(x, y + 7); ctx.lineTo(x + 4, y);
  } else if (kind === 'move') {
    ctx.moveTo(x - 4, y + 3.5); ctx.lineTo(x + 4, y + 3.5); ctx.moveTo(x + 1, y + 0.5); ctx.lineTo(x + 4, y + 3.5); ctx.lineTo(x + 1, y + 6.5);
  } else if (kind === 'drop') {
    ctx.moveTo(x - 3, y + 0.5); ctx.lineTo(x + 3, y + 6.5); ctx.moveTo(x + 3, y + 0.5); ctx.lineTo(x - 3, y + 6.5);
  } else if (kind === 'create') {
    ctx.moveTo(x - 3.5, y + 3.5); ctx.lineTo(x + 3.5, y + 3.5); ctx.moveTo(x, y); ctx.lineTo(x, y + 7);
  } else if (kind === 'leader') {
    ctx.moveTo(x, y); ctx.lineTo(x + 3.5, y + 3.5); ctx.lineTo(x, y + 7); ctx.lineTo(x - 3.5, y + 3.5); ctx.closePath();
  } else {
    ctx.moveTo(x, y + 2); ctx.lineTo(x, y + 7);
  }
  ctx.stroke();
}

export function drawMarks(ctx, marks, box, theme) {
  ctx.save();
  ctx.lineWidth = 1.5;
  ctx.lineJoin = 'round';
  for (const m of marks) {
    const kind = ORDER.find((k) => m.events.some((e) => e.kind === k));
    const quiet = kind === 'backfill' || kind === 'create' || kind === 'other';
    ctx.strokeStyle = quiet ? theme.dim : theme.fg;
    glyph(ctx, kind, m.x, box.y + 2);
    if (m.events.length > 1) {
      ctx.beginPath();
      ctx.arc(m.x, box.y + box.h - 3, 1.2, 0, 2 * Math.PI);
      ctx.fillStyle = theme.dim;
      ctx.fill();
    } else {
      ctx.lineWidth = 1;
      ctx.beginPath();
      ctx.moveTo(m.x, box.y + 11);
      ctx.lineTo(m.x, box.y + box.h);
      ctx.stroke();
      ctx.lineWidth = 1.5;
    }
  }
  ctx.restore();
}

export function markAt(marks, x, reach = 7) {
  let best = null;
  for (const m of marks) {
    const d = Math.abs(m.x - x);
    if (d <= reach && (!best || d < Math.abs(best.x - x))) best = m;
  }
  return best;
}

/** The rows of the picture that an event is about. */
export const touches = (event, row) => event.lineages.has(row.lineage) || row.routes.some((id) => event.routes.has(String(id)));
