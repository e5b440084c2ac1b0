// Property: what a real node holds is drawn where and as it is, can be read, moved, zoomed and found again by its URL.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { drawn, launch, open, pixel } from './browser.mjs';
import { GAP, HOSTILE, HOT, MINUTE, Node, SPLIT_AT, tell, WINDOWS } from './node.mjs';

const TABLE = JSON.parse(readFileSync(new URL('../../assets/colours.json', import.meta.url), 'utf8')).tables.viridis.join(' ').split(' ');
let node;
let browser;
let t0;
before(async () => {
  [node, browser] = await Promise.all([Node.start(), launch()]);
  t0 = await tell(node);
});
after(async () => { await browser?.close(); await node?.stop(); });

/** What the colour table says of a value on a logarithmic scale. */
const colourOf = (value, top) => TABLE[value === 0 ? 0 : 1 + Math.round(254 * (0.05 + 0.95 * Math.min(1, Math.log(value) / Math.log(top))))];

const address = (more = '') => `${node.url}/?series=writes&from=${t0}&to=${t0 + WINDOWS * MINUTE}${more}`;

async function show(url, options) {
  const page = await open(browser, options);
  await page.goto(url);
  await drawn(page);
  return page;
}

async function plot(page) {
  const [x, y, w, h] = (await page.getAttribute('#over', 'data-plot')).split(',').map(Number);
  return { x, y, w, h };
}

/** The middle of a cell on the canvas. */
async function placeOf(page, window, row, { from = 0, windows = WINDOWS, rows = 5 } = {}) {
  const box = await plot(page);
  return [Math.floor(box.x + ((window - from + 0.5) / windows) * box.w), Math.floor(box.y + ((row + 0.5) / rows) * box.h)];
}

async function pointAt(page, ...place) {
  const canvas = await page.locator('#over').boundingBox();
  await page.mouse.move(canvas.x + place[0], canvas.y + place[1]);
}

/** Until the picture is the one that it was. */
const becomes = (page, image) => page.waitForFunction((want) => document.querySelector('#base')?.toDataURL() === want, image);
const whole = (page) => page.evaluate(() => document.querySelector('#base').toDataURL());
const query = (page, name) => new URL(page.url()).searchParams.get(name);
const done = async (page) => { assert.deepEqual(page.troubles, []); await page.context().close(); };

test('cells have the colours of the table; a gap is a gap', async () => {
  const page = await show(address('&top=10000'));
  for (const [window, row, value] of [[100, 0, 10], [100, 1, 30], [HOT, 1, 10_000], [50, 2, 100], [100, 2, 100], [100, 3, 0], [100, 4, 1]]) {
    assert.equal(await pixel(page, ...await placeOf(page, window, row)), colourOf(value, 10_000), `window ${window}, row ${row}`);
  }
  const hatch = await page.evaluate(() => ['--missing', '--missing-ink'].map((name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim().slice(1)));
  for (let window = GAP[0]; window < GAP[1]; window++) {
    for (let row = 0; row < 5; row++) assert.ok(hatch.includes(await pixel(page, ...await placeOf(page, window, row))), `window ${window}, row ${row}`);
  }
  for (const [window, row] of [[GAP[0] - 1, 2], [GAP[1], 2]]) assert.equal(await pixel(page, ...await placeOf(page, window, row)), colourOf(100, 10_000));
  // What the legend lists is what is in view.
  const legend = await page.locator('#legend .swatches').innerText();
  assert.match(legend, /missing/);
  assert.match(legend, /inherited/);
  assert.doesNotMatch(legend, /conflict|shed|pending/);
  await done(page);
});

test('before the split both sides show what their parent had, and say so', async () => {
  const page = await show(address('&top=10000'));
  await pointAt(page, ...await placeOf(page, 10, 1));
  const tip = page.locator('#tip');
  await tip.waitFor();
  const text = await tip.innerText();
  assert.match(text, /^.*\n.*\n?40\s+writes/s);
  assert.match(text, /inherited/);
  await page.goto(`${address('&top=10000')}&cont=apportion`);
  await drawn(page);
  assert.equal(await pixel(page, ...await placeOf(page, 100, 1)), colourOf(30, 10_000));
  assert.match(await page.locator('#legend .swatches').innerText(), /apportioned/);
  await done(page);
});

test('hover shows what a cell is, a click pins it with its chart and its history', async () => {
  const page = await show(address());
  await pointAt(page, ...await placeOf(page, HOT, 1));
  const tip = page.locator('#tip');
  await tip.waitFor();
  const text = await tip.innerText();
  for (const part of ['10,000', 'of the column', '63', '67', 'route:6', 'recorded']) assert.ok(text.includes(part), `${part} in ${text}`);
  await page.mouse.down();
  await page.mouse.up();
  await page.locator('#drawer canvas').waitFor();
  assert.match(await page.locator('#drawer .title').innerText(), /c … g/);
  await page.waitForFunction(() => document.querySelector('.life')?.textContent.includes('split'));
  assert.equal(query(page, 'at'), String(t0 + HOT * MINUTE));
  await page.keyboard.press('Escape');
  await page.locator('#drawer').waitFor({ state: 'detached' });
  assert.equal(query(page, 'row'), null);
  await done(page);
});

test('events are above the picture and in it', async () => {
  const page = await show(address());
  const box = await plot(page);
  const x = box.x + (SPLIT_AT / WINDOWS) * box.w;
  await pointAt(page, x, box.y - 10);
  await page.locator('#tip').waitFor();
  assert.match(await page.locator('#tip').innerText(), /Split/);
  assert.equal(await pixel(page, Math.round(x), Math.floor(box.y + 0.3 * box.h)), 'ffffff');
  await done(page);
});

test('what is kept beyond the retention is marked', async () => {
  await node.post('pins', JSON.stringify({ from_unix_ms: t0, to_unix_ms: t0 + 30 * MINUTE, note: 'the outage <i>' }));
  const page = await show(address());
  const box = await plot(page);
  await pointAt(page, box.x + (15.5 / WINDOWS) * box.w, box.y - 4);
  await page.locator('#tip').waitFor();
  assert.match(await page.locator('#tip').innerText(), /Pinned[^]*the outage <i>/);
  await done(page);
});

test('zooming holds the scale, the URL follows, back and reload give the same picture', async () => {
  const page = await show(address());
  const before = await whole(page);
  const hot = colourOf(10_000, 10_000);
  assert.equal(await pixel(page, ...await placeOf(page, HOT, 1)), hot);
  await pointAt(page, ...await placeOf(page, HOT, 1));
  await page.mouse.wheel(0, -400);
  await page.waitForFunction(() => new URL(location.href).searchParams.get('top') === '10000');
  await drawn(page);
  const [from, to] = [Number(query(page, 'from')), Number(query(page, 'to'))];
  assert.ok(from > t0 && to - from < 100 * MINUTE);
  await page.mouse.move(5, 5);
  const zoomed = await whole(page);
  assert.notEqual(zoomed, before);
  await page.reload();
  await becomes(page, zoomed);
  await page.goBack();
  await becomes(page, before);
  await page.goForward();
  await becomes(page, zoomed);
  await page.click('#fit');
  await page.waitForFunction(() => !new URL(location.href).searchParams.has('top'));
  await done(page);
});

test('keys are zoomed, brushed and moved as time is', async () => {
  const page = await show(address());
  const canvas = await page.locator('#over').boundingBox();
  const [x0, y0] = await placeOf(page, 80, 1);
  const [x1, y1] = await placeOf(page, 110, 2);
  await page.keyboard.down('Shift');
  await page.mouse.move(canvas.x + x0, canvas.y + y0);
  await page.mouse.down();
  await page.mouse.move(canvas.x + x1, canvas.y + y1, { steps: 4 });
  await page.mouse.up();
  await page.keyboard.up('Shift');
  await page.waitForFunction(() => new URL(location.href).searchParams.get('start') === '63');
  await drawn(page);
  assert.equal(query(page, 'end'), '6e');
  assert.match(await page.locator('#keychip').innerText(), /c … n/);
  assert.equal(await pixel(page, ...await placeOf(page, HOT, 0, { from: 80, windows: 31, rows: 2 })), colourOf(10_000, 10_000));
  // Down by one row, with the picture in hand.
  const box = await plot(page);
  await page.mouse.move(canvas.x + box.x + 200, canvas.y + box.y + box.h * 0.9);
  await page.keyboard.down('Alt');
  await page.mouse.down();
  await page.mouse.move(canvas.x + box.x + 200, canvas.y + box.y + box.h * 0.4, { steps: 5 });
  await page.mouse.up();
  await page.keyboard.up('Alt');
  await page.waitForFunction(() => new URL(location.href).searchParams.get('start') === '67');
  await page.locator('#over').focus();
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => new URL(location.href).searchParams.get('start') === '63');
  await done(page);
});

test('the keyboard alone finds, reads and pins the hot minute', async () => {
  const page = await show(address());
  await page.locator('#over').focus();
  await page.keyboard.press('m');
  await page.waitForFunction(() => document.querySelector('#speak').textContent.includes('10,000 writes'));
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction(() => document.querySelector('#speak').textContent.includes('30 writes'));
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('Enter');
  await page.locator('#drawer').waitFor();
  assert.equal(query(page, 'at'), String(t0 + HOT * MINUTE));
  await page.locator('#over').focus();
  await page.keyboard.press('?');
  await page.locator('#help').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('#over').focus();
  await page.keyboard.press('t');
  await page.locator('#table tbody tr').first().waitFor();
  assert.match(await page.locator("#table tbody tr").first().innerText(), /^c\s+g\s/);
  await done(page);
});

test('a key is found in view and in the past', async () => {
  const page = await show(address());
  await page.fill('#find', 'dog');
  await page.keyboard.press('Enter');
  await page.locator('#results li').first().waitFor();
  const ranges = await page.locator('#results li').allInnerTexts();
  assert.equal(ranges.length, 2);
  assert.match(ranges[0], /c … g/);
  assert.match(ranges[1], /−∞ … g[^]*until/);
  await page.fill('#find', 'g*');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => new URL(location.href).searchParams.get('start') === '67');
  assert.equal(query(page, 'end'), '68');
  await page.fill('#find', '0x0');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('#results')?.textContent.includes('Not a key'));
  await done(page);
});

test('times are typed in either clock, around a moment too', async () => {
  const page = await show(address('&tz=local'));
  const stamp = new Date(t0 + HOT * MINUTE).toISOString().slice(0, 19);
  await page.fill('#from', `${stamp}Z`);
  await page.fill('#to', '±10m');
  await page.keyboard.press('Enter');
  await page.waitForFunction((from) => new URL(location.href).searchParams.get('from') === from, String(t0 + (HOT - 10) * MINUTE));
  assert.equal(query(page, 'to'), String(t0 + (HOT + 10) * MINUTE));
  await page.fill('#to', 'never');
  await page.keyboard.press('Enter');
  assert.equal(await page.getAttribute('#to', 'aria-invalid'), 'true');
  await done(page);
});

test('a hostile key is text, whatever is done with it', async () => {
  const page = await show(address());
  await pointAt(page, ...await placeOf(page, 100, 4));
  await page.locator('#tip').waitFor();
  const text = await page.locator('#tip').innerText();
  assert.ok(text.includes('o<img src=x onerror="win…xe2\\x80\\xae\\x1b[31m'), text);
  await page.mouse.down();
  await page.mouse.up();
  await page.locator('#drawer').waitFor();
  assert.equal(await page.locator('#drawer .bounds .key').first().innerText(), 'o<img src=x onerror="window.hacked=1">\\xe2\\x80\\xae\\x1b[31m');
  await page.keyboard.press('t');
  await page.locator('#table tbody tr').first().waitFor();
  await page.keyboard.press('Escape');
  await page.fill('#find', HOSTILE.slice(0, 30));
  await page.keyboard.press('Enter');
  await page.locator('#results').waitFor();
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.locator('img').count(), 0);
  await done(page);
});

test('two series are added', async () => {
  const page = await show(`${node.url}/?series=reads%2Bwrites&from=${t0}&to=${t0 + WINDOWS * MINUTE}&top=30000`);
  assert.equal(await pixel(page, ...await placeOf(page, HOT, 1)), colourOf(30_000, 30_000));
  await pointAt(page, ...await placeOf(page, HOT, 1));
  await page.locator('#tip').waitFor();
  assert.match(await page.locator('#tip').innerText(), /30,000/);
  await done(page);
});

test('a picture, cells and a command are taken away', async () => {
  const page = await show(address(`&row=x`), { acceptDownloads: true });
  const [image] = await Promise.all([page.waitForEvent('download'), page.click('#png')]);
  assert.equal(readFileSync(await image.path()).subarray(1, 4).toString(), 'PNG');
  await page.keyboard.press('t');
  const [cells] = await Promise.all([page.waitForEvent('download'), page.click('#table button:has-text("CSV")')]);
  const lines = readFileSync(await cells.path(), 'utf8').split('\n');
  assert.ok(lines.some((line) => line.includes(`,${t0 + HOT * MINUTE},60000,63,67,route:6,`) && line.includes(',writes,10000,10000,0,recorded,')), lines[1]);
  await done(page);
});
