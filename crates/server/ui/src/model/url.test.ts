import { describe, expect, it } from 'vitest';
import { DEFAULTS, DEFAULT_SPAN, parse, serialise, type Shown } from './url';

const NOW = 1_800_000_000_000;

describe('the URL', () => {
  it('holds everything that changes the picture', () => {
    const all: Shown = {
      series: 'reads+writes', from: NOW - 5000, to: NOW - 1000, live: 'off', asof: 'union', cont: 'apportion', rows: 32, step: 60000,
      scale: 'linear', value: 'total', palette: 'cividis', tz: 'local', start: '00ff', end: 'ff', row: 'route:7#1', at: NOW - 2000, top: 700, bright: -2,
    };
    expect(parse(serialise(all), NOW)).toEqual(all);
    for (const name of Object.keys(DEFAULTS) as (keyof Shown)[]) expect(all[name], name).not.toBe(name === 'live' ? undefined : DEFAULTS[name]);
    expect(parse(serialise({ ...all, live: 'hold' }), NOW).live).toBe('hold');
  });

  it('follows the clock when it is live', () => {
    const live = parse(`?from=${NOW - 3_600_000}&to=${NOW}&live=1`, NOW + 50_000);
    expect(live).toMatchObject({ from: NOW - 3_550_000, to: NOW + 50_000, live: 'follow' });
    expect(parse('', NOW)).toMatchObject({ from: NOW - DEFAULT_SPAN, to: NOW, live: 'follow' });
    expect(parse('?span=60000', NOW)).toMatchObject({ from: NOW - 60000, to: NOW });
  });

  it('takes nothing senseless', () => {
    for (const bad of ['series=x', 'from=9&to=3', 'from=a&to=b', 'rows=0', 'rows=5000', 'start=zz', 'end=abc', 'row=%00', 'top=-3', 'bright=9', 'asof=never', 'at=1e9', 'scale=', 'tz=mars']) {
      expect(parse(`?${bad}`, NOW), bad).toEqual({ ...DEFAULTS, from: NOW - DEFAULT_SPAN, to: NOW, live: 'follow' });
    }
  });
});
