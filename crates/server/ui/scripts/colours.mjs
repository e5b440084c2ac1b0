// Makes src/picture/colours.ts from ../assets/colours.json, the one file of colours for terminal, report and page. `--check` only compares.
import { readFileSync, writeFileSync } from 'node:fs';

const from = new URL('../../assets/colours.json', import.meta.url);
const into = new URL('../src/picture/colours.ts', import.meta.url);
const { tables, floor } = JSON.parse(readFileSync(from, 'utf8'));

let text = '// Made by scripts/colours.mjs from ../assets/colours.json: 256 colours a table, rrggbb, the first for "no traffic".\n';
text += `\n/** Where the least traffic sits on a table, so that it is told apart from none. */\nexport const FLOOR = ${floor};\n`;
for (const [name, lines16] of Object.entries(tables)) {
  const table = lines16.join(' ').split(' ');
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
