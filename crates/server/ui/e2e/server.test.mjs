// Property: the node serves its page with validators, compressed, under a strict policy; unknown names are 404.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import { Node } from './node.mjs';

let node;
before(async () => { node = await Node.start(); });
after(() => node.stop());

/** Without what `fetch` does by itself. */
const get = (path, headers = {}) => new Promise((done, failed) => {
  request(new URL(path, node.url), { headers }, (response) => {
    const chunks = [];
    response.on('data', (chunk) => chunks.push(chunk));
    response.on('end', () => done({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
  }).on('error', failed).end();
});

test('the page and its files: type, policy, validator, compression', async () => {
  const page = await get('/?series=reads&from=1&to=2000');
  assert.equal(page.status, 200);
  const names = [...page.body.toString().matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map((found) => found[1]);
  assert.deepEqual(names, ['/assets/app.js', '/assets/index.css']);
  const types = { '/': 'text/html', '/assets/app.js': 'text/javascript', '/assets/index.css': 'text/css', '/assets/LineChart.js': 'text/javascript' };
  for (const [path, type] of Object.entries(types)) {
    const plain = await get(path);
    assert.equal(plain.status, 200, path);
    assert.match(plain.headers['content-type'], new RegExp(type));
    assert.match(plain.headers['content-security-policy'], /default-src 'none'.*require-trusted-types-for 'script'/);
    assert.doesNotMatch(plain.headers['content-security-policy'], /unsafe/);
    assert.equal(plain.headers['x-content-type-options'], 'nosniff');
    assert.equal(plain.headers['referrer-policy'], 'no-referrer');
    assert.equal(plain.headers['cache-control'], 'no-cache');
    const small = await get(path, { 'accept-encoding': 'gzip' });
    assert.equal(small.headers['content-encoding'], 'gzip', path);
    assert.ok(small.body.length < plain.body.length);
    assert.equal(small.headers.etag, plain.headers.etag);
    const held = await get(path, { 'if-none-match': plain.headers.etag, 'accept-encoding': 'gzip' });
    assert.equal(held.status, 304, path);
    assert.equal(held.body.length, 0);
  }
});

test('what is not there is 404', async () => {
  for (const path of ['/assets/nothing.js', '/assets/', '/assets/index.html', '/nothing', '/assets/..%2findex.html', '/index.html']) {
    assert.equal((await get(path)).status, 404, path);
  }
});
