// The licences of what the page is built from, beside it.
import { readFileSync, writeFileSync } from 'node:fs';

const root = new URL('../node_modules/', import.meta.url);
let text = '';
for (const name of ['svelte', 'esm-env', 'clsx', 'uplot']) {
  const { version, license } = JSON.parse(readFileSync(new URL(`${name}/package.json`, root), 'utf8'));
  const file = ['LICENSE.md', 'LICENSE', 'license'].map((f) => new URL(`${name}/${f}`, root)).find((f) => {
    try { return readFileSync(f); } catch { return false; }
  });
  text += `${name} ${version} (${license})\n\n${file ? readFileSync(file, 'utf8').trim() : ''}\n\n`;
}
writeFileSync(`${process.argv[2]}/assets/licences.txt`, text);
