import { describe, expect, it } from 'vitest';
import { decode } from '../model/answer';
import { covers, planFor, stepFor, type Known } from '../model/plan';
import { DEFAULTS, type Shown } from '../model/url';
import { scaleMarks, makeScale, roundTop } from './colour';
import { timeTicks, labelRows } from './axes';
import { keysOf, pan, rowsOf, zoomRows, zoomTime } from './view';

const b64 = (s: string): string => btoa(s);
const model = decode({
  step_ms: 1000, recorded_step_ms: 1000, column_unix_ms: [0, 1000],
  rows: ['', 'b', 'd', 'f'].map((start, i, all) => ({ start: start ? b64(start) : null, end: all[i + 1] ? b64(all[i + 1]!) : null, values: [1, 1], bucket_id: `route:${i}` })),
});

describe('a view', () => {
  it('holds still what is under the pointer', () => {
    const v = { from: 1000, to: 11_000, y0: 0, y1: 4 };
    const zoomed = zoomTime(v, 0.5, 0.3);
    expect(zoomed.from + 0.3 * (zoomed.to - zoomed.from)).toBeCloseTo(4000);
    const rows = zoomRows({ ...v, y0: 0, y1: 4 }, 0.5, 0.25, 4);
    expect(rows.y0 + 0.25 * (rows.y1 - rows.y0)).toBeCloseTo(1);
    expect(zoomRows(v, 100, 0.5, 4)).toMatchObject({ y0: 0, y1: 4 });
    expect(zoomTime(v, 1e-9, 0.5).to - zoomTime(v, 1e-9, 0.5).from).toBeCloseTo(1000);
  });

  it('stays on the map', () => {
    const v = { from: 1000, to: 11_000, y0: 1, y1: 3 };
    expect(pan(v, -5, -5, 4, 20_000)).toMatchObject({ from: 0, to: 10_000, y0: 0, y1: 2 });
    expect(pan(v, 500, 5, 4, 20_000)).toMatchObject({ to: 29_000, y0: 2, y1: 4 });
  });

  it('finds rows by keys and keys by rows', () => {
    expect(rowsOf(model, '', '')).toEqual([0, 4]);
    expect(keysOf(model, 0, 4)).toEqual({ start: '', end: '' });
    expect(keysOf(model, 1, 3)).toEqual({ start: '62', end: '66' });
    expect(rowsOf(model, '62', '66')).toEqual([1, 3]);
    expect(keysOf(model, 2, 4)).toEqual({ start: '64', end: '' });
    expect(rowsOf(model, '64', '')).toEqual([2, 4]);
    expect(rowsOf(model, '65', '6500')).toEqual([2, 3]);
    expect(keysOf(model, 0, 1)).toEqual({ start: '', end: '62' });
  });
});

describe('a plan', () => {
  const known: Known = { now: 1_000_000_000, model, outline: model, fine: 0 };
  const shown: Shown = { ...DEFAULTS, from: 500_000_000, to: 501_000_000 };

  it('covers the view that it was made for, and a bit beside it', () => {
    const plan = planFor(shown, { start: '', end: '' }, known);
    expect(covers(plan, shown, model, known)).toBe(true);
    expect(covers(plan, { ...shown, from: shown.from + 400_000, to: shown.to + 400_000 }, model, known)).toBe(true);
    expect(covers(plan, { ...shown, from: shown.from + 600_000, to: shown.to + 600_000 }, model, known)).toBe(false);
    expect(covers(plan, { ...shown, to: shown.to + 700_000_000 }, model, known)).toBe(false);
    expect(covers(plan, { ...shown, start: '62', end: '64' }, model, known)).toBe(true);
  });

  it('asks for nothing that would make the answer coarser', () => {
    const fine = { ...known, fine: 499_900_000 };
    const plan = planFor(shown, { start: '', end: '' }, fine);
    expect(plan.from).toBe(499_900_000);
    expect(covers(plan, shown, model, fine)).toBe(true);
  });

  it('takes the finest step that fits', () => {
    expect(stepFor(3_600_000, 60_000)).toBe(60_000);
    expect(stepFor(604_800_000, 60_000)).toBe(600_000);
    expect(stepFor(3_600_000, 1000)).toBe(5000);
    expect(stepFor(90 * 86_400_000, 60_000)).toBe(7_200_000);
  });
});

describe('scales and axes', () => {
  it('has 0 apart, rises, and ends at its top', () => {
    for (const mode of ['log', 'linear']) {
      for (const bright of [-4, 0, 4]) {
        const s = makeScale(1000, mode, bright);
        expect(s.level(0)).toBe(0);
        expect(s.level(1)).toBeGreaterThan(5);
        expect(s.level(1000)).toBe(255);
        expect(s.level(5000)).toBe(255);
        for (let v = 1; v < 1000; v++) expect(s.level(v + 1)).toBeGreaterThanOrEqual(s.level(v));
        const marks = scaleMarks(s, 300);
        expect(marks[marks.length - 1]).toBe(1000);
        expect([...marks].sort((a, b) => a - b)).toEqual(marks);
      }
    }
    expect(makeScale(1000, 'log', 2).level(30)).toBeGreaterThan(makeScale(1000, 'log', 0).level(30));
    for (const v of [1, 2, 17, 999, 1000, 54_321]) expect(roundTop(v, false)).toBeGreaterThanOrEqual(v);
    expect(roundTop(6000, false)).toBe(7000);
    expect(roundTop(5000, true)).toBe(8192);
  });

  it('has ticks at round times in both clocks', () => {
    const { list, step } = timeTicks(Date.UTC(2026, 10, 20, 15, 58), Date.UTC(2026, 10, 20, 16, 28), 1000, 'utc');
    expect(step).toBe(300_000);
    expect(list.map((t) => t.text)).toEqual(['16:00', '16:05', '16:10', '16:15', '16:20', '16:25']);
    expect(labelRows(0, 10, 300)).toHaveLength(10);
    expect(labelRows(0, 1000, 300).length).toBeLessThan(21);
  });
});
