// Property: every state of the page is one that was designed, and none of them violates an accessibility rule.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { createRequire } from 'node:module';
import { drawn, launch, open } from './browser.mjs';
import { MINUTE, Node, READ_TOKEN, tell, tokenFlags, WINDOWS } from './node.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const MATRIX = '**/admin/api/v1/keyviz/matrix?*';
let browser;
let empty;
let full;
let t0;
before(async () => {
  [browser, empty, full] = await Promise.all([launch(), Node.start(), Node.start()]);
  t0 = await tell(full);
});
after(async () => { await browser?.close(); await empty?.stop(); await full?.stop(); });

const address = () => `${full.url}/?series=writes&from=${t0}&to=${t0 + WINDOWS * MINUTE}`;

/** axe runs in a world of its own: the page's policy lets no foreign script into the page's. */
async function accessible(page) {
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send('Page.getFrameTree');
  const { executionContextId: contextId } = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id, worldName: 'axe' });
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await session.send('Runtime.evaluate', { expression, contextId, awaitPromise: true, returnByValue: true });
    assert.equal(exceptionDetails, undefined);
    return result.value;
  };
  await evaluate(`${AXE}; undefined`);
  const found = await evaluate('axe.run(document).then((r) => r.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html + n.failureSummary).join(" | ")}`))');
  assert.deepEqual(found, []);
}

const panel = (page, kind) => page.locator(`#panel[data-kind="${kind}"]`).waitFor();
const done = async (page) => { assert.deepEqual(page.troubles, []); await page.context().close(); };

test('empty: says so, and finds what there is', async () => {
  const page = await open(browser);
  await page.goto(empty.url);
  await panel(page, 'empty');
  await accessible(page);
  await page.click('text=Find recorded history');
  await page.waitForFunction(() => document.querySelector('#panel')?.textContent.includes('Nothing is recorded'));
  await page.goto(`${full.url}/?series=writes&from=1000&to=100000`);
  await panel(page, 'empty');
  await page.click('text=Find recorded history');
  await page.waitForFunction((from) => Number(new URL(location.href).searchParams.get('from')) >= from, t0 - 60 * MINUTE);
  await drawn(page);
  await done(page);
});

test('unauthorised: asks for a token, keeps it in memory only', async () => {
  const node = await Node.start(tokenFlags);
  try {
    const page = await open(browser);
    await page.goto(node.url);
    await panel(page, 'login');
    await accessible(page);
    await page.fill('#token', 'wrong');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelector('#panel')?.textContent.includes('was refused'));
    await page.fill('#token', READ_TOKEN);
    await page.keyboard.press('Enter');
    await panel(page, 'empty');
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, history.state]));
    assert.ok(!kept.includes(READ_TOKEN));
    await page.reload();
    await panel(page, 'login');
    await done(page);
  } finally {
    await node.stop();
  }
});

test('a node that is gone leaves the picture, and says how old it is', async () => {
  const node = await Node.start();
  try {
    const from = await tell(node);
    const page = await open(browser);
    await page.goto(`${node.url}/?series=writes&from=${from}&to=${from + WINDOWS * MINUTE}&live=hold`);
    await drawn(page);
    await node.kill();
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await page.locator('#banner[data-kind="error"]').waitFor();
    assert.match(await page.locator('#banner').innerText(), /does not answer.*answer of/);
    await accessible(page);
    await page.selectOption('#series', 'reads');
    await panel(page, 'error');
    await accessible(page);
    await done(page);
  } finally {
    await node.stop();
  }
});

test('a question that is refused is answered with a way out', async () => {
  const page = await open(browser);
  await page.goto(`${full.url}/?series=writes&from=1000&to=8000000000000000`);
  await panel(page, 'error');
  assert.match(await page.locator('#panel').innerText(), /refused[^]*400 invalid_query/);
  await page.click('text=Last 15 minutes');
  await drawn(page);
  await done(page);
});

test('loading and slow', async () => {
  const page = await open(browser);
  let answer;
  const held = new Promise((go) => { answer = go; });
  await page.route(MATRIX, async (route) => { await held; await route.continue(); });
  await page.goto(address());
  await panel(page, 'loading');
  await accessible(page);
  await page.waitForFunction(() => document.querySelector('#panel')?.textContent.includes('longer than usual'));
  answer();
  await drawn(page);
  await done(page);
});

test('a question that is overtaken is cancelled', async () => {
  const page = await open(browser);
  await page.goto(address());
  await drawn(page);
  const ended = [];
  page.on('requestfailed', (request) => ended.push(request.url()));
  let release;
  const held = new Promise((go) => { release = go; });
  await page.route(MATRIX, async (route) => {
    if (route.request().url().includes('series=read_bytes')) await held;
    await route.continue().catch(() => undefined);
  });
  await page.selectOption('#series', 'read_bytes');
  await page.locator('#progress').waitFor();
  await page.selectOption('#series', 'reads');
  await drawn(page);
  assert.ok(ended.some((url) => url.includes('series=read_bytes')));
  release();
  await done(page);
});

test('partial: names who did not answer', async () => {
  const page = await open(browser);
  await page.route(MATRIX, async (route) => {
    const body = await (await route.fetch()).json();
    const nodes = [{ node: 'a', ok: true }, { node: '<b>node\u202e', ok: false, error: 'timed out' }];
    Object.assign(body, { status: 'PARTIAL', fanout: { nodes, responded: 1, expected: 2 } });
    await route.fulfill({ json: body });
  });
  await page.goto(address());
  await drawn(page);
  assert.match(await page.locator('#banner').innerText(), /1 of 2 nodes did not answer: <b>node\uFFFD \(timed out\)/);
  assert.equal(await page.locator('#status').innerText(), 'PARTIAL');
  await accessible(page);
  await done(page);
});

test('each flag and state has a look and a word of its own', async () => {
  const page = await open(browser, { reducedMotion: 'reduce' });
  const flags = { sampled: 1, soft: 2, conflict: 4, stale_leader: 8, inherited: 16, apportioned: 32, partial: 64, stretched: 128, shed: 256, saturated: 512 };
  const states = ['measured', 'idle', 'missing', 'partial', 'pending', 'nonexistent'];
  await page.route(MATRIX, async (route) => {
    const body = await (await route.fetch()).json();
    const n = body.column_unix_ms.length;
    const row = (start, end, value, more) => ({ bucket_id: `route:${start}`, start: btoa(start), end: btoa(end), values: Array(n).fill(value), states: [['measured', n]], route_count: 1, lineage_id: '', ...more });
    body.rows = [
      row('0', '00', 500, {}),
      ...Object.values(flags).map((bit, i) => row(`0${String.fromCharCode(97 + i)}`, `0${String.fromCharCode(98 + i)}`, 500, { flags: Array(n).fill(bit) })),
      ...states.slice(1).map((state, i) => row(`1${i}`, `1${i + 1}`, 0, { states: [[state, n]] })),
    ];
    body.flag_bits = flags;
    await route.fulfill({ json: body });
  });
  await page.goto(address());
  await drawn(page);
  const words = (await page.locator('#legend .swatches li').allInnerTexts()).map((text) => text.trim());
  for (const word of ['sampled', 'soft', 'conflict', 'stale leader', 'inherited', 'apportioned', 'partial', 'stretched', 'shed', 'saturated', 'no traffic', 'missing', 'pending', 'did not exist']) {
    assert.ok(words.includes(word), `${word} in ${words.join()}`);
  }
  // Without hue: the rows differ in where their light and dark pixels lie.
  const looks = await page.evaluate((rows) => {
    const [x, y, w, h] = document.querySelector('#over').dataset.plot.split(',').map(Number);
    const ctx = document.querySelector('#base').getContext('2d');
    return Array.from({ length: rows }, (_, r) => {
      const top = Math.ceil(y + (r / rows) * h) + 2;
      // Patterns repeat every 12 pixels from the plot's corner.
      const phase = Math.round(top - y) % 12;
      const data = ctx.getImageData(x, top - phase + 12, 12, 12).data;
      return Array.from({ length: 144 }, (_v, i) => Math.round(0.3 * data[4 * i] + 0.6 * data[4 * i + 1] + 0.1 * data[4 * i + 2])).join();
    });
  }, 16);
  const seen = new Map();
  looks.forEach((look, r) => { seen.set(look, [...(seen.get(look) ?? []), r]); });
  const same = [...seen.values()].filter((rows) => rows.length > 1);
  // A range's own state "partial" and the flag say the same, but on another ground.
  assert.deepEqual(same, []);
  await done(page);
});

test('live: what arrives is drawn, and a zoom holds the span without ending that', async () => {
  const node = await Node.start('--step', '1s');
  try {
    const begin = Math.floor(Date.now() / 1000) * 1000 - 30_000;
    let sequence = 0;
    const post = (writes) => {
      // Each its own window, however fast this goes.
      const window = begin + 1000 * sequence++;
      return node.post('columns', JSON.stringify({ node_id: 'live', window_unix_ms: window, step_ms: 1000, rows: [{ route_id: 1, group_id: 1, start: '', writes: writes * sequence }] }));
    };
    await post(1);
    const page = await open(browser);
    await page.goto(`${node.url}/?series=writes&span=600000`);
    await drawn(page);
    const shows = (text) => page.waitForFunction((want) => document.querySelector('#legend .max')?.textContent.includes(want), text);
    await post(1000);
    await shows('2,000');
    assert.equal(await page.locator('#status').innerText(), 'live');
    const canvas = await page.locator('#over').boundingBox();
    await page.mouse.move(canvas.x + canvas.width * 0.7, canvas.y + 200);
    await page.mouse.wheel(0, 500);
    await page.waitForFunction(() => new URL(location.href).searchParams.get('live') !== null && new URL(location.href).searchParams.has('top'));
    await post(2000);
    await shows('6,000');
    await done(page);
  } finally {
    await node.stop();
  }
});

test('no violation: dark and light, large and small, with everything open', async () => {
  for (const options of [{ colorScheme: 'light' }, { colorScheme: 'dark' }, { colorScheme: 'dark', viewport: { width: 390, height: 844 } }]) {
    const page = await open(browser, options);
    await page.goto(address());
    await drawn(page);
    await accessible(page);
    await page.locator('#over').focus();
    await page.keyboard.press('m');
    await page.keyboard.press('Enter');
    await page.locator('#drawer canvas').waitFor();
    await accessible(page);
    await page.fill('#find', 'dog');
    await page.keyboard.press('Enter');
    await page.locator('#results li').first().waitFor();
    await accessible(page);
    await page.locator('#over').focus();
    await page.keyboard.press('t');
    await page.locator('#table').waitFor();
    await accessible(page);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, 'scrolls sideways');
    await done(page);
  }
});
