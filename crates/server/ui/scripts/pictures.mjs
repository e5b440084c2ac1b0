// Takes the pictures of docs/images: a made-up week with a gap and a restart, and how the page looks elsewhere.
// KEYVIZ_BIN says where the binaries are; the first argument is the folder to write to.
import { join } from 'node:path';
import { drawn, launch, open } from '../e2e/browser.mjs';
import { MINUTE, Node } from '../e2e/node.mjs';

const into = process.argv[2];
const STEP = 10 * MINUTE;
const WINDOWS = 7 * 144 - 12;
const TABLES = ['account', 'cart', 'event', 'invoice', 'order', 'product', 'session', 'user'];
const PER_TABLE = 8;
const name = (table, part) => `${TABLES[table]}:${String(Math.round((part / PER_TABLE) * 1e6)).padStart(6, '0')}`;

let x = 7;
const next = () => (x = (x * 1103515245 + 12345) % 2147483648) / 2147483648;

/** A week: days and nights, a nightly job, a table that is written in order, and an order range that gets hot. */
function load(window, table, part, hot) {
  const day = (window % 144) / 144;
  const wave = 0.25 + 0.75 * Math.max(0, Math.sin((day - 0.25) * 2 * Math.PI));
  const noise = 0.8 + 0.4 * next();
  if (TABLES[table] === 'event') return Math.floor(window / 124) % PER_TABLE === part ? 90_000 * wave * noise : 0;
  if (TABLES[table] === 'invoice') return day > 0.08 && day < 0.13 ? 30_000 * noise : next() < 0.1 ? 4 : 0;
  if (TABLES[table] === 'order' && part === 4) return (hot ? 240_000 : 4000) * wave * noise;
  return [300, 900, 0, 0, 4000, 60, 12_000, 700][table] * wave * noise * (1 + part / 4);
}

async function week(node) {
  const t0 = Math.floor(Date.now() / STEP) * STEP - WINDOWS * STEP;
  const routes = [];
  for (let table = 0; table < TABLES.length; table++) {
    for (let part = 0; part < PER_TABLE; part++) routes.push({ table, part, route_id: routes.length + 1, start: routes.length ? name(table, part) : '' });
  }
  routes.forEach((route, i) => { if (routes[i + 1]) route.end = routes[i + 1].start; });
  const happens = (ms, change) => node.post('transitions', JSON.stringify({ node_id: 'store-1', group_id: 1, hlc: 0, ...change }).replace('"hlc":0', `"hlc":${BigInt(ms) << 16n}`));
  const bounds = ({ route_id, start, end }) => ({ route_id, start, ...(end ? { end } : {}) });
  await happens(t0, { change: 'create', routes: routes.map(bounds) });
  const split = 620;
  for (let w = 0; w < WINDOWS; w++) {
    if (w === split) {
      const at = routes.findIndex((route) => TABLES[route.table] === 'order' && route.part === 4);
      const parent = routes[at];
      const halves = [{ ...parent, route_id: 101, end: 'order:561200' }, { ...parent, route_id: 102, start: 'order:561200' }];
      await happens(t0 + w * STEP, { change: 'split', route_id: parent.route_id, children: halves.map(bounds) });
      routes.splice(at, 1, ...halves);
    }
    // The host was down for six hours, and for a quarter of an hour when it was upgraded.
    if ((w >= 318 && w < 354) || w === 796) continue;
    const half = (route) => (route.route_id === 101 ? 0.7 : route.route_id === 102 ? 0.3 : 1);
    const rows = routes.map((route) => ({ ...bounds(route), group_id: 1, term: 1, writes: Math.floor(half(route) * load(w, route.table, route.part, w > 560)) }));
    const early = w === 317 || w === 354 ? { covered_from_unix_ms: t0 + w * STEP, covered_to_unix_ms: t0 + w * STEP + STEP / 2 } : {};
    await node.post('columns', JSON.stringify({ node_id: 'store-1', window_unix_ms: t0 + w * STEP, step_ms: STEP, rows, ...early }));
  }
  return [t0, t0 + WINDOWS * STEP];
}

const node = await Node.start('--step', '10min', '--wal-sync', 'os');
const browser = await launch();
try {
  const [from, to] = await week(node);
  const shoot = async (file, query, options, then) => {
    const page = await open(browser, options);
    await page.goto(`${node.url}/?series=writes&from=${from}&to=${to}${query}`);
    await drawn(page);
    await then?.(page);
    await page.waitForTimeout(500);
    await page.screenshot({ path: join(into, file) });
    console.log(file, page.url(), page.troubles);
    await page.context().close();
  };
  await shoot('page-week.png', '', { colorScheme: 'dark' });
  await shoot('page-cell.png', '', { colorScheme: 'light' }, async (page) => {
    await page.locator('#over').focus();
    await page.keyboard.press('m');
    await page.keyboard.press('Enter');
    await page.locator('#drawer canvas').waitFor();
    await page.waitForFunction(() => document.querySelector('.life')?.textContent.includes('split'));
  });
  await shoot('page-small.png', '', { colorScheme: 'dark', viewport: { width: 390, height: 844 } });
} finally {
  await browser.close();
  await node.stop();
}
