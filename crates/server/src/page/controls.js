// controls.js: the toolbar. Shows the state and turns what people choose into patches of the state.
// Must not fetch and must not write the URL.

import { byId, el } from './dom.js';
import { dateTime, parseTime, zoneName } from './format.js';
import { MIN_SPAN } from './state.js';

const SELECTS = ['series', 'asof', 'cont', 'rows', 'scale', 'value', 'palette'];

/** `apply(patch)` takes a change; `now()` is the node's clock. */
export function bindControls({ apply, now, state }) {
  for (const name of SELECTS) {
    byId(name).addEventListener('change', (e) => {
      const v = e.target.value;
      apply({ [name]: name === 'rows' ? Number(v) : v });
    });
  }
  byId('presets').addEventListener('click', (e) => {
    const span = Number(e.target.closest('button')?.dataset.span);
    if (!span) return;
    const t = now();
    apply({ from: t - span, to: t, live: true, step: 0 });
  });
  byId('tz').addEventListener('click', (e) => {
    const tz = e.target.closest('button')?.dataset.tz;
    if (tz) apply({ tz });
  });
  byId('live').addEventListener('click', () => {
    const s = state();
    const span = s.to - s.from;
    apply(s.live ? { live: false } : { live: true, from: now() - span, to: now() });
  });
  byId('more').addEventListener('click', (e) => {
    const open = byId('rest').classList.toggle('open');
    e.currentTarget.setAttribute('aria-expanded', String(open));
  });
  const boxes = ['from', 'to'].map(byId);
  for (const box of boxes) box.addEventListener('input', () => box.removeAttribute('aria-invalid'));
  byId('controls').addEventListener('submit', (e) => {
    e.preventDefault();
    const { tz } = state();
    const [from, to] = boxes.map((b) => parseTime(b.value, tz, now()));
    const bad = [Number.isNaN(from), Number.isNaN(to) || to - from < MIN_SPAN];
    boxes.forEach((b, i) => b.setAttribute('aria-invalid', String(bad[i])));
    if (bad.includes(true)) return;
    boxes.forEach((b) => b.blur());
    apply({ from, to, live: /^now$/i.test(boxes[1].value.trim()) });
  });
}

/** Makes the toolbar say what the state says. */
export function syncControls(s, peakAvailable) {
  for (const name of SELECTS) {
    const box = byId(name);
    const value = String(s[name]);
    if (![...box.options].some((o) => o.value === value)) {
      box.append(el('option', { value }, name === 'asof' ? dateTime(Number(value), s.tz) : value));
    }
    box.value = value;
  }
  byId('value').disabled = !peakAvailable;
  byId('value').title = peakAvailable
    ? 'A column is longer than the recorded window: show its total, or its largest recorded window'
    : 'Columns are as fine as what was recorded: total and peak are the same';
  const span = s.to - s.from;
  for (const b of byId('presets').children) {
    const on = s.live && Math.abs(Number(b.dataset.span) - span) < 1000;
    b.setAttribute('aria-pressed', String(on));
  }
  for (const b of byId('tz').children) b.setAttribute('aria-pressed', String(b.dataset.tz === s.tz));
  byId('live').setAttribute('aria-pressed', String(s.live));
  for (const name of ['from', 'to']) {
    const box = byId(name);
    if (document.activeElement !== box) {
      box.value = dateTime(Math.floor(s[name] / 1000) * 1000, s.tz);
      box.removeAttribute('aria-invalid');
    }
  }
  byId('tz').title = zoneName(s.to, 'local') === 'UTC' ? 'This computer’s clock is UTC' : `Local is ${zoneName(s.to, 'local')}`;
}
