// Frame times of the picture: 1,024 rows x 10,080 columns (a week by the minute), moved and zoomed on both axes
// in headless Chromium. Prints one JSON line a gesture; fails nothing. `script` is drawing, `frame` from one
// frame to the next.
import { drawn, launch, open } from '../e2e/browser.mjs';
import { MINUTE, Node } from '../e2e/node.mjs';

const [ROWS, COLUMNS] = [1024, 10_080];
const to = Math.floor(Date.now() / MINUTE) * MINUTE;
const from = to - COLUMNS * MINUTE;

let x = 1;
const next = () => (x = (x * 1103515245 + 12345) % 2147483648) / 2147483648;
const key = (r) => btoa(`key${String(r).padStart(5, '0')}`);
const body = JSON.stringify({
  series: 'writes', step_ms: MINUTE, recorded_step_ms: MINUTE, tier: 'finest', generated_at: new Date().toISOString(), status: 'OK', warnings: [],
  column_unix_ms: Array.from({ length: COLUMNS }, (_, c) => from + c * MINUTE),
  column_totals: { recorded: Array(COLUMNS).fill(100_000), counted: [], inherited: [], unattributed: [] },
  rows: Array.from({ length: ROWS }, (_, r) => ({
    bucket_id: `route:${r}`, lineage_id: '', start: key(r), end: key(r + 1), route_count: 1,
    values: Array.from({ length: COLUMNS }, () => (next() < 0.3 ? 0 : Math.floor(10 ** (next() * 5)))),
    states: [['measured', 5000], ['missing', 80], ['measured', COLUMNS - 5080]],
    ...(r % 8 === 0 ? { flags: Array.from({ length: COLUMNS }, (_, c) => (c % 997 < 200 ? 16 : 0)) } : {}),
  })),
});

const quantile = (list, q) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(q * list.length))];
const node = await Node.start();
const browser = await launch();
try {
  const page = await open(browser);
  await page.route('**/keyviz/matrix?*', (route) => route.fulfill({ body, contentType: 'application/json' }));
  await page.goto(`${node.url}/?series=writes&from=${from}&to=${to}&step=${MINUTE}`);
  await drawn(page);
  const gestures = {
    'move in time': (i) => ({ dx: i % 60 < 30 ? 9 : -9 }),
    'zoom in time': (i) => ({ zoom: i % 60 < 30 ? 0.92 : 1 / 0.92 }),
    'zoom in keys': (i) => ({ zoom: i % 60 < 30 ? 0.92 : 1 / 0.92, keys: true }),
    'move both ways, zoomed in': (i) => ({ dx: i % 60 < 30 ? 7 : -7, dy: i % 60 < 30 ? 3 : -3 }),
  };
  for (const [name, gesture] of Object.entries(gestures)) {
    const steps = Array.from({ length: 180 }, (_, i) => gesture(i));
    const result = await page.evaluate(async (all) => {
      const canvas = document.querySelector('#over');
      const o = canvas.getBoundingClientRect();
      let [px, py] = [o.left + 700, o.top + 300];
      performance.clearMeasures();
      const frames = [];
      let last = await new Promise(requestAnimationFrame);
      const fire = (type, more) => canvas.dispatchEvent(new PointerEvent(type, { bubbles: true, pointerId: 1, pointerType: 'touch', button: 0, clientX: px, clientY: py, ...more }));
      canvas.setPointerCapture = () => undefined;
      const drags = all.some((s) => s.dx);
      if (drags) { fire('pointerdown'); px += 8; fire('pointermove'); }
      for (const s of all) {
        if (s.zoom) canvas.dispatchEvent(new WheelEvent('wheel', { deltaY: Math.log(s.zoom) / 0.0022, shiftKey: Boolean(s.keys), clientX: px, clientY: py, cancelable: true }));
        else { px += s.dx; py += s.dy ?? 0; fire('pointermove'); }
        const now = await new Promise(requestAnimationFrame);
        frames.push(now - last);
        last = now;
      }
      if (drags) fire('pointerup');
      const script = performance.getEntriesByName('keyviz-draw').map((entry) => entry.duration);
      return { frames: frames.slice(5), script: script.slice(5) };
    }, steps);
    const round = (v) => Math.round(v * 10) / 10;
    console.log(JSON.stringify({
      gesture: name, rows: ROWS, columns: COLUMNS, frames: result.frames.length,
      frame_p50_ms: round(quantile(result.frames, 0.5)), frame_p95_ms: round(quantile(result.frames, 0.95)),
      script_p50_ms: round(quantile(result.script, 0.5)), script_p95_ms: round(quantile(result.script, 0.95)),
    }));
    await page.waitForTimeout(600);
    await drawn(page);
  }
  if (page.troubles.length) console.error(page.troubles);
} finally {
  await browser.close();
  await node.stop();
}
