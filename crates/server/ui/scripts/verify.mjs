// Types, unit tests, and whether dist/ is, byte for byte, what the sources give; and what a first load weighs.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';

/** KiB of brotli that the first picture may take. */
const FIRST_LOAD = 60;
const run = (name, ...args) => execFileSync(name, args, { stdio: 'inherit' });
const files = (folder) => readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1)).sort();

run('node', 'scripts/colours.mjs', '--check');
run('npx', '--no-install', 'svelte-check', '--tsconfig', './tsconfig.json', '--fail-on-warnings');
run('npx', '--no-install', 'vitest', 'run');

const fresh = mkdtempSync(join(tmpdir(), 'keyviz-page-'));
try {
  run('npx', '--no-install', 'vite', 'build', '--logLevel', 'warn', '--outDir', fresh, '--emptyOutDir');
  run('node', 'scripts/licences.mjs', fresh);
  const [want, have] = [files(fresh), files('dist')];
  const different = [...new Set([...want, ...have])].filter((name) =>
    !want.includes(name) || !have.includes(name) || !readFileSync(join(fresh, name)).equals(readFileSync(join('dist', name))));
  if (different.length > 0) {
    console.error(`dist/ is not what the sources give: ${different.join(', ')}; run \`make ui\` and commit dist/`);
    process.exit(1);
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}

const first = ['index.html', ...[...readFileSync('dist/index.html', 'utf8').matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((m) => m[1])];
const size = first.reduce((sum, name) => sum + brotliCompressSync(readFileSync(join('dist', name))).length, 0) / 1024;
if (size > FIRST_LOAD) {
  console.error(`the first load is ${size.toFixed(1)} KiB of brotli (${first.join(', ')}); it may be ${FIRST_LOAD}`);
  process.exit(1);
}
console.log(`dist/ is up to date; first load ${size.toFixed(1)} of ${FIRST_LOAD} KiB`);
