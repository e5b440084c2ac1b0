// Property: one hot minute is seen at every zoom from an hour to seven days, in the colour that it has.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { drawn, launch, open } from './browser.mjs';
import { MINUTE, Node } from './node.mjs';

const TABLE = JSON.parse(readFileSync(new URL('../../assets/colours.json', import.meta.url), 'utf8')).tables.viridis.join(' ').split(' ');
const DAY = 1440 * MINUTE;
const COUNT = 2000;
let node;
let browser;
let end;
let hot;
before(async () => {
  [node, browser] = await Promise.all([Node.start(), launch()]);
  end = Math.floor(Date.now() / MINUTE) * MINUTE;
  hot = end - 1000 * MINUTE;
  const from = end - 7 * DAY + 60 * MINUTE;
  const lines = ['time,key,op,size'];
  const at = (ms) => (ms / 1000).toFixed(3);
  for (let ms = from; ms < end; ms += 10 * MINUTE) {
    if (ms > hot && ms - 10 * MINUTE <= hot) {
      for (let i = 0; i < COUNT; i++) lines.push(`${at(hot + (i * 59_000) / COUNT)},key517,write,10`);
    }
    lines.push(`${at(ms)},key${String((ms / MINUTE / 10) % 1000).padStart(3, '0')},write,10`);
  }
  await node.replay(`${lines.join('\n')}\n`, '--time-column', 'time', '--key-column', 'key', '--op-column', 'op', '--write', 'write', '--read', 'read', '--size-column', 'size', '--routes', '64');
});
after(async () => { await browser?.close(); await node?.stop(); });

test('one hot minute at every zoom', async () => {
  const page = await open(browser);
  for (const hours of [1, 2, 6, 12, 24, 48, 96, 168]) {
    const span = hours * 60 * MINUTE;
    const from = Math.max(end - 7 * DAY + 61 * MINUTE, Math.min(end - span, hot - Math.floor(span / 2)));
    await page.goto(`${node.url}/?series=writes&from=${from}&to=${Math.min(end, from + span)}&top=${COUNT}`);
    await drawn(page);
    const found = await page.evaluate((colour) => {
      const [x, y, w, h] = document.querySelector('#over').dataset.plot.split(',').map(Number);
      const { data } = document.querySelector('#base').getContext('2d').getImageData(x, y, w, h);
      const columns = new Set();
      for (let i = 0; i < data.length; i += 4) {
        if (((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]).toString(16) === colour) columns.add((i / 4) % w);
      }
      return [...columns].map((c) => c / w);
    }, TABLE[255]);
    assert.ok(found.length > 0, `${hours} h: nothing is that bright`);
    const to = Math.min(end, from + span);
    for (const place of found) assert.ok(Math.abs(from + place * (to - from) - hot) < span / 50 + MINUTE, `${hours} h: at ${place}`);
  }
  assert.deepEqual(page.troubles, []);
  await page.context().close();
});
