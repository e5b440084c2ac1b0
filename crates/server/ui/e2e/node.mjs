// A real node in a folder of its own, and a story that is told to it.
import { spawn, execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const BIN = process.env.KEYVIZ_BIN;
if (!BIN) throw new Error('say in KEYVIZ_BIN where the binaries are; `make ui-test` does');
const KEYVIZ = join(BIN, 'keyviz');
const API = '/admin/api/v1/keyviz';
export const MINUTE = 60_000;

export class Node {
  /** Starts it and waits until it is ready. */
  static async start(...flags) {
    const node = new Node();
    node.folder = mkdtempSync(join(tmpdir(), 'keyviz-e2e-'));
    const own = typeof flags.at(-1) === 'function' ? flags.pop()(node.folder) : [];
    node.process = spawn(KEYVIZ, ['serve', '--data-dir', join(node.folder, 'node'), '--grpc', '127.0.0.1:0', '--http', '127.0.0.1:0', ...(flags.includes('--step') ? [] : ['--step', '60s']), ...flags, ...own]);
    let said = '';
    await new Promise((ready, failed) => {
      const listen = (chunk) => {
        said += chunk;
        const found = /keyviz ready: page (http:\/\/[^/]+)\/ grpc (\S+)/.exec(said);
        if (found) [node.url, node.grpc] = [found[1], found[2]], ready();
      };
      node.process.stdout.on('data', listen);
      node.process.stderr.on('data', listen);
      node.process.on('error', failed);
      node.process.on('exit', (code) => failed(new Error(`keyviz ended with ${code}: ${said}`)));
    });
    return node;
  }

  /** Ends it at once, and forgets what it held. */
  async stop() {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async kill() {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.removeAllListeners('exit');
    const ended = new Promise((done) => this.process.on('exit', done));
    this.process.kill('SIGKILL');
    await ended;
  }

  /** `text` is JSON: an HLC is more than a double holds. */
  async post(what, text) {
    const response = await fetch(`${this.url}${API}/${what}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: text });
    if (!response.ok) throw new Error(`${what}: ${response.status} ${await response.text()} for ${text}`);
  }

  async replay(csv, ...flags) {
    const file = join(this.folder, 'trace.csv');
    writeFileSync(file, csv);
    await promisify(execFile)(KEYVIZ, ['replay', file, '--to', this.grpc, '--quiet', '--step', '60s', ...flags], { maxBuffer: 1 << 26 });
  }
}

export const READ_TOKEN = 'reading-0123456789abcdef0123456789abcdef';

export function tokenFlags(folder) {
  const file = join(folder, 'read-tokens');
  writeFileSync(file, `tests ${READ_TOKEN}\n`);
  chmodSync(file, 0o600);
  const write = join(folder, 'write-tokens');
  writeFileSync(write, 'tests writing-0123456789abcdef0123456789abcdef\n');
  chmodSync(write, 0o600);
  return [`--read-token-file=${file}`, `--write-token-file=${write}`];
}

/** A key that wants to be markup, to turn the text round, and to command a terminal. */
export const HOSTILE = 'o<img src=x onerror="window.hacked=1">\u202e\u001b[31m';
export const WINDOWS = 120;
export const SPLIT_AT = 30;
export const GAP = [60, 70];
export const HOT = 90;

/**
 * Two hours by the minute: four ranges, of which the first is split after half an hour; nothing is recorded
 * for ten minutes; one minute of [c, g) is hot. Returns when it begins.
 */
export async function tell(node) {
  const t0 = Math.floor(Date.now() / MINUTE) * MINUTE - 180 * MINUTE;
  const later = [{ route_id: 2, start: 'g', end: 'n' }, { route_id: 3, start: 'n', end: HOSTILE }, { route_id: 4, start: HOSTILE }];
  const happens = (ms, change) => node.post('transitions', JSON.stringify({ node_id: 'teller', group_id: 1, hlc: 0, ...change }).replace('"hlc":0', `"hlc":${BigInt(ms) << 16n}`));
  await happens(t0, { change: 'create', routes: [{ route_id: 1, start: '', end: 'g' }, ...later] });
  for (let w = 0; w < WINDOWS; w++) {
    if (w === SPLIT_AT) {
      await happens(t0 + w * MINUTE, { change: 'split', route_id: 1, children: [{ route_id: 5, start: '', end: 'c' }, { route_id: 6, start: 'c', end: 'g' }] });
    }
    if (w >= GAP[0] && w < GAP[1]) continue;
    const first = w < SPLIT_AT ? [{ route_id: 1, start: '', end: 'g', writes: 40 }]
      : [{ route_id: 5, start: '', end: 'c', writes: 10 }, { route_id: 6, start: 'c', end: 'g', writes: w === HOT ? 10_000 : 30 }];
    const counts = { 2: 100, 4: 1 };
    const rows = [...first, ...later.map((row) => ({ ...row, writes: counts[row.route_id] ?? 0 }))];
    await node.post('columns', JSON.stringify({
      node_id: 'teller', window_unix_ms: t0 + w * MINUTE, step_ms: MINUTE, unattributed: w === 20 ? 7 : 0,
      rows: rows.map((row) => ({ ...row, group_id: 1, term: 1, reads: 2 * row.writes, write_bytes: row.writes * 100 })),
    }));
  }
  return t0;
}
