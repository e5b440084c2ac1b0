// What to ask the node for, so that a view can be drawn and moved a little without asking again.
// Pure; must not fetch.

import { fromHex, toBase64Url } from './keys';
import type { Params } from './api';
import type { Model } from './answer';
import type { Shown } from './url';

/** As many columns as the node answers with by itself. */
export const MAX_COLUMNS = 1500;

const LADDER = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
].map((s) => s * 1000);

/** The finest step that shows `span` in at most `MAX_COLUMNS` columns. */
export function stepFor(span: number, recordedStep: number): number {
  if (span / recordedStep <= MAX_COLUMNS) return recordedStep;
  const fits = LADDER.find((step) => step > recordedStep && step % recordedStep === 0 && span / step <= MAX_COLUMNS);
  return fits ?? LADDER[LADDER.length - 1];
}

/** One question: what is asked of the node, and the keys in view that it was made for. */
export interface Plan {
  from: number;
  to: number;
  start: string;
  end: string;
  step: number;
  viewStart: string;
  viewEnd: string;
}

export interface Known {
  now: number;
  /** The latest answer to the same kind of question, if there is one. */
  model: Model | null;
  /** The last answer over all keys, to widen a span of keys with. */
  outline: Model | null;
  /** Before this, nothing finer than roll-ups is kept; 0 = unknown. */
  fine: number;
}

/** Half a view before and after is asked for as well, but nothing that would make the answer coarser. */
export function planFor(shown: Shown, widen: { start: string; end: string }, known: Known): Plan {
  const span = shown.to - shown.from;
  const step = shown.step || (known.model ? stepFor(span, known.model.recordedStep) : 0);
  const pad = shown.live === 'follow' || step === 0 ? 0 : span / 2;
  let from = Math.max(0, Math.floor(shown.from - pad));
  if (known.fine > 0 && shown.from >= known.fine - span * 0.02) from = Math.max(from, known.fine);
  const to = Math.ceil(Math.max(shown.to, Math.min(shown.to + pad, known.now)));
  return { from: Math.min(from, Math.floor(shown.to) - 1), to, step, ...widen, viewStart: shown.start, viewEnd: shown.end };
}

/** Whether an answer to `plan` also shows `shown`. */
export function covers(plan: Plan, shown: Shown, model: Model, known: Known): boolean {
  const step = shown.step || stepFor(shown.to - shown.from, model.recordedStep);
  if (step !== (plan.step || model.step)) return false;
  const early = shown.from < plan.from && !(known.fine > 0 && plan.from <= known.fine);
  if (early || Math.min(shown.to, known.now - 2 * step) > plan.to) return false;
  if (shown.start === plan.viewStart && shown.end === plan.viewEnd) return true;
  // Other keys: asked again where rows stand for several ranges, or lie outside of what was asked.
  const narrowed = plan.start !== '' || plan.end !== '';
  return !narrowed && !model.rows.some((row) => row.isGroup);
}

const bound = (hex: string): string => (hex ? toBase64Url(fromHex(hex) ?? new Uint8Array(0)) : '');

export function matrixParams(shown: Shown, plan: Plan, series = shown.series): Params {
  return {
    series, from_unix_ms: Math.floor(plan.from), to_unix_ms: Math.ceil(plan.to), rows: shown.rows,
    step_ms: plan.step || '', as_of: asOf(shown), continuity: shown.cont, start: bound(plan.start), end: bound(plan.end),
  };
}

/** "As of the end" is the end of what is in view, not of what is asked for beside it. */
function asOf(shown: Shown): string {
  if (shown.asof === 'to') return shown.live === 'follow' ? 'to' : String(Math.ceil(shown.to));
  return shown.asof === 'from' ? String(Math.max(1, Math.floor(shown.from))) : shown.asof;
}
