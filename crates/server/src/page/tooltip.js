// tooltip.js: the box at the cursor. Fills itself from facts and keeps inside the window.
// Text nodes only; must not compute facts and must not react to events.

import { el, fill } from './dom.js';
import { middle } from './keys.js';
import { rowFacts, startHex, endHex } from './facts.js';

export class Tooltip {
  constructor(node) {
    this.node = node;
  }

  hide() {
    this.node.hidden = true;
  }

  place(x, y) {
    const n = this.node;
    n.hidden = false;
    const { offsetWidth: w, offsetHeight: h } = n;
    const gap = 16;
    const left = x + gap + w <= innerWidth - 8 ? x + gap : Math.max(8, x - gap - w);
    const top = Math.min(Math.max(8, y + gap), Math.max(8, innerHeight - h - 8));
    n.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  cell(f, m, tz, x, y) {
    const r = f.row;
    fill(this.node,
      ...head(f),
      el('div.range', null,
        bound('from', r.startText, startHex(r, 24)),
        bound('to', r.endText, endHex(r, 24))),
      pairs([...f.pairs, ...rowFacts(m, r, tz)]),
      f.cells > 1 && el('p.note', null, `largest of ${f.cells.toLocaleString('en-US')} cells under this pixel`));
    this.place(x, y);
  }

  column(f, x, y) {
    fill(this.node, ...head(f), pairs(f.pairs));
    this.place(x, y);
  }

  row(m, r, tz, x, y) {
    fill(this.node, el('div.range', null, bound('from', r.startText, startHex(r, 24)), bound('to', r.endText, endHex(r, 24))), pairs(rowFacts(m, r, tz)));
    this.place(x, y);
  }

  event({ lines, more }, x, y) {
    fill(this.node,
      lines.map((l) => el('div.event', null, el('b', null, l.kind), el('span.num', null, l.time), el('p', null, l.text))),
      more > 0 && el('p.note', null, `and ${more} more: zoom in`));
    this.place(x, y);
  }
}

function head(f) {
  return [
    el('div.when', null, el('span.num', null, f.when.time), el('span', null, f.when.length)),
    f.empty
      ? el('div.value', null, el('b.none', null, f.stateName))
      : el('div.value', null, el('b', null, f.number), el('span', null, f.unit)),
    f.notes.length > 0 && el('p.share', null, f.notes.join('  ·  ')),
  ];
}

function bound(name, text, hex) {
  return [el('span', null, name), el('bdi.key', null, middle(text, 44)), el('span.hex', null, hex)];
}

export function pairs(list) {
  return el('dl.pairs', null, list.map(([name, text]) => [el('dt', null, name), el('dd', null, text)]));
}
