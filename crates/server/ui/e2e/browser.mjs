// Debian's Chromium through playwright-core, with the page's console and errors watched: a refusal by the
// content security policy, or any error, fails the test.
import { accessSync } from 'node:fs';
import { chromium } from 'playwright-core';

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export function browserPath() {
  const found = [process.env.CHROMIUM, ...PATHS].filter(Boolean).find((path) => {
    try { accessSync(path); return true; } catch { return false; }
  });
  if (!found) throw new Error('no Chromium: run `make setup`, or say where it is in CHROMIUM');
  return found;
}

export const launch = () => chromium.launch({ timeout: 300_000, executablePath: browserPath(), args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });

/** While the page is worked on: `dist/` as it is on disk, instead of what the node embeds (KEYVIZ_PAGE=1). */
const fromDisk = (page) => page.route('**/assets/*', (route) => route.fulfill({ path: new URL(`../dist${new URL(route.request().url()).pathname}`, import.meta.url).pathname }));

/** A page of 1440 x 900 whose troubles are collected in `page.troubles`. `options` as of a browser context. */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, deviceScaleFactor: 1, timezoneId: 'Europe/Berlin', ...options });
  const page = await context.newPage();
  if (process.env.KEYVIZ_PAGE) await fromDisk(page);
  page.setDefaultTimeout(Number(process.env.PATIENCE_MS ?? 300_000));
  page.troubles = [];
  page.on('pageerror', (error) => page.troubles.push(String(error)));
  page.on('console', (message) => {
    // A refused request is logged by the browser itself; the page shows it as a state.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) page.troubles.push(message.text());
  });
  return page;
}

/** Until the page shows an answer (or `kind` of panel), and has drawn it. */
export async function drawn(page) {
  await page.waitForFunction(() => Boolean(document.querySelector('#foot')?.textContent) && document.querySelector('#progress') === null);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done()))));
}

/** The colour at a point of the picture, in device pixels, as "rrggbb". */
export const pixel = (page, x, y) => page.evaluate(([px, py]) => {
  const [r, g, b] = document.querySelector('#base').getContext('2d').getImageData(px, py, 1, 1).data;
  return [r, g, b].map((v) => v.toString(16).padStart(2, '0')).join('');
}, [x, y]);
