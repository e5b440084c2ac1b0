// Makes src/picture/colours.ts from colours.json, the one table of colours. `--check` only compares.
import { readFileSync, writeFileSync } from 'node:fs';

const from = new URL('../colours.json', import.meta.url);
const into = new URL('../src/picture/colours.ts', import.meta.url);
const tables = JSON.parse(readFileSync(from, 'utf8'));

let text = '// Made by scripts/colours.mjs from colours.json: 256 colours a table, rrggbb, the first for "no traffic".\n';
for (const [name, table] of Object.entries(tables)) {
  if (!Array.isArray(table)) continue;
  if (table.length !== 256 || !table.every((c) => /^[0-9a-f]{6}$/.test(c))) {
    throw new Error(`colours.json: ${name} is not 256 colours of six hexadecimal digits`);
  }
  const lines = [];
  for (let at = 0; at < 256; at += 16) lines.push(`  '${table.slice(at, at + 16).join('')}'`);
  text += `\nexport const ${name.toUpperCase()} =\n${lines.join(' +\n')};\n`;
}
if (process.argv.includes('--check')) {
  if (readFileSync(into, 'utf8') !== text) {
    console.error('src/picture/colours.ts is not what colours.json gives: run `npm run colours`');
    process.exit(1);
  }
} else writeFileSync(into, text);
