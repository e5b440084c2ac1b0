// drawer.js: the pinned row at the side: its cell, its line chart with true gaps, its biography.
// Draws and fetches for the pinned row only; must not change the state (it calls the actions it is given).

import { el, fill, fitCanvas, copyText } from './dom.js';
import { fetchLineage } from './api.js';
import { cellFacts, rangeText, rowFacts, startHex, endHex } from './facts.js';
import { pairs } from './tooltip.js';
import { cleanLabel, hexOf } from './keys.js';
import { compact, dateTime, duration, exact, SERIES, zoneName } from './format.js';
import { drawGaps, drawSteps, niceTop, poolSeries } from './chart.js';
import { drawTimeAxis } from './axes.js';
import { STATE } from './model.js';

const CHART_HEIGHT = 168;

/** Builds anew only what changed, so that a live refresh does not take away a selection or a scroll position. */
function refill(node, key, build) {
  const now = JSON.stringify(key);
  if (node.dataset.key === now) return;
  node.dataset.key = now;
  fill(node, build());
}

export class Drawer {
  /** `actions`: close(), zoomKeys(row), around(ms), moveTo(ms). */
  constructor(node, actions) {
    this.node = node;
    this.actions = actions;
    this.lineage = null;
    this.story = null;
    this.readX = -1;
    this.chart = el('canvas.chart', { tabindex: null, 'aria-hidden': 'true' });
    this.readout = el('p.readout.num', null);
    this.body = el('div.cell', null);
    this.keys = el('div.bounds', null);
    this.facts = el('div', null);
    this.life = el('pre.life', { tabindex: '0', 'aria-label': 'Lineage of the range' });
    this.legend = el('p.note', null);
    this.title = el('bdi.title', null);
    const button = (text, title, fn) => el('button.quiet', { type: 'button', title, onclick: fn }, text);
    this.copied = button('Copy keys', 'Copy both bounds as hex', () => this.copyKeys());
    fill(node,
      el('div.drawer-head', null, this.title, button('Close', 'Close (Esc)', () => actions.close())),
      this.body,
      el('div.buttons', null,
        button('Only these keys', 'Zoom to this key range', () => this.row && actions.zoomKeys(this.row)),
        button('±5 min', 'Five minutes before and after this window', () => actions.around(this.ms)),
        this.copied),
      el('h2', null, 'This range over the span'), this.chart, this.readout, this.legend,
      el('h2', null, 'Keys'), this.keys, this.facts,
      el('h2', null, 'Biography'), this.life);
    this.chart.addEventListener('pointermove', (e) => { this.readX = e.offsetX; this.read(this.readX); });
    this.chart.addEventListener('pointerleave', () => { this.readX = -1; this.read(-1); });
    this.chart.addEventListener('click', (e) => { const c = this.columnAt(e.offsetX); if (c !== null) actions.moveTo(this.model.t0 + c * this.model.step); });
  }

  get open() { return !this.node.hidden; }

  close() {
    this.node.hidden = true;
    this.row = null;
    this.lineage = null;
    this.story?.abort();
  }

  show(model, pin, view, opts, theme) {
    const row = model.rows[pin.row];
    this.node.hidden = false;
    Object.assign(this, { model, row, view, opts, theme, pin, ms: model.t0 + pin.col * model.step });
    this.title.textContent = `${row.label} … ${row.openEnd ? '+∞' : row.endText}`;
    this.title.title = rangeText(row);
    const f = cellFacts(model, pin.row, pin.col, opts.series, opts.tz);
    refill(this.body, [f.when, f.number, f.stateName, f.notes, f.pairs], () => [
      el('p.when', null, el('span.num', null, f.when.time), el('span', null, f.when.length)),
      f.empty ? el('p.value', null, el('b.none', null, f.stateName)) : el('p.value', null, el('b', null, f.number), el('span', null, f.unit)),
      f.notes.length > 0 && el('p.share', null, f.notes.join('  ·  ')),
      pairs(f.pairs)]);
    const bound = (name, text, hex) => [el('span', null, name), el('bdi.key', null, text), el('span.hex', null, hex)];
    refill(this.keys, [row.id, row.startText, row.endText], () => [bound('from', row.startText, startHex(row, 512)), bound('to', row.endText, endHex(row, 512))]);
    const facts = rowFacts(model, row, opts.tz);
    refill(this.facts, facts, () => pairs(facts));
    this.drawChart();
    this.tell(row);
  }

  async copyKeys() {
    if (!this.row) return;
    const ok = await copyText(`${hexOf(this.row.start)} ${this.row.openEnd ? '' : hexOf(this.row.end)}`.trim());
    this.copied.textContent = ok ? 'Copied' : 'Not copied';
    setTimeout(() => { this.copied.textContent = 'Copy keys'; }, 1500);
  }

  /** The biography; fetched once per lineage. */
  async tell(row) {
    if (!row.lineage) {
      this.lineage = null;
      const many = row.routes.length ? `\nmembers: routes ${row.routes.map(String).join(', ')}` : '';
      this.life.textContent = `${exact(row.routeCount)} ranges put together to fit the row budget.${many}`;
      return;
    }
    if (this.lineage === row.lineage) return;
    this.lineage = row.lineage;
    this.story?.abort();
    this.story = new AbortController();
    this.life.textContent = 'reading ...';
    try {
      const answer = await fetchLineage(row.lineage, this.story.signal);
      if (this.lineage !== row.lineage) return;
      const text = String(answer.text ?? '').split('\n').slice(0, 400).map(cleanLabel).join('\n');
      this.life.textContent = text.trim() === '' ? 'No record of this lineage is kept.' : text;
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.life.textContent = `Not available: ${error.message}`;
      this.lineage = null;
    }
  }

  drawChart() {
    const { model: m, pin, view, opts, theme } = this;
    const width = Math.max(200, this.node.clientWidth - 32);
    const ctx = fitCanvas(this.chart, width, CHART_HEIGHT);
    const box = { x: 52, y: 8, w: width - 60, h: CHART_HEIGHT - 48 };
    this.box = box;
    const base = pin.row * m.n;
    const W = Math.round(box.w);
    const first = (view.from - m.t0) / m.step;
    const per = (view.to - view.from) / m.step / W;
    const at = (array) => array.subarray(base, base + m.n);
    const states = at(m.state);
    const known = (c) => states[c] === STATE.measured || states[c] === STATE.idle || states[c] === STATE.partial || m.values[base + c] > 0;
    const sum = poolSeries(at(m.values), known, first, per, W);
    const peak = m.max ? poolSeries(at(m.max), known, first, per, W) : null;
    const gaps = poolSeries(Float64Array.from(states, (s) => (s === STATE.missing ? 1 : 0)), () => true, first, per, W);
    let max = 0;
    for (const v of sum) if (v > max) max = v;
    const bytes = SERIES[opts.series].bytes;
    const top = niceTop(max, bytes);
    ctx.font = `11px ${theme.sans}`;
    ctx.textAlign = 'right';
    ctx.textBaseline = 'middle';
    for (const f of [0, 0.5, 1]) {
      const y = Math.round(box.y + box.h * (1 - f)) + 0.5;
      ctx.strokeStyle = theme.line;
      ctx.beginPath();
      ctx.moveTo(box.x, y);
      ctx.lineTo(box.x + box.w, y);
      ctx.stroke();
      ctx.fillStyle = theme.dim;
      if (max > 0 || f === 0) ctx.fillText(compact(top * f, bytes), box.x - 6, y);
    }
    drawGaps(ctx, box, W, (x) => Number.isNaN(sum[x]) && gaps[x] === 1, theme);
    drawSteps(ctx, box, sum, top, { fill: theme.faint });
    drawSteps(ctx, box, sum, top, { stroke: theme.accent, width: 1.25 });
    if (peak) drawSteps(ctx, box, peak, top, { stroke: theme.fg, width: 1, dash: [2, 2] });
    const x = box.x + ((this.ms + m.step / 2 - view.from) / (view.to - view.from)) * box.w;
    if (x >= box.x && x <= box.x + box.w) {
      ctx.strokeStyle = theme.fg;
      ctx.beginPath();
      ctx.moveTo(Math.round(x) + 0.5, box.y);
      ctx.lineTo(Math.round(x) + 0.5, box.y + box.h);
      ctx.stroke();
    }
    drawTimeAxis(ctx, { x: box.x, y: box.y + box.h, w: box.w }, view, opts.tz, theme, box.y + box.h);
    this.legend.textContent = peak
      ? `line: total per ${duration(m.step)}; dotted: largest ${duration(m.recordedStep)} window`
      : `line: total per ${duration(m.step)}; hatched: nothing was recorded`;
    this.read(this.readX);
  }

  columnAt(x) {
    const { box, view, model: m } = this;
    if (!box || x < box.x || x >= box.x + box.w) return null;
    const c = Math.floor((view.from + ((x - box.x) / box.w) * (view.to - view.from) - m.t0) / m.step);
    return c >= 0 && c < m.n ? c : null;
  }

  read(x) {
    const c = this.columnAt(x);
    if (c === null) {
      this.readout.textContent = '\u00a0';
      return;
    }
    const { model: m, opts } = this;
    const f = cellFacts(m, this.pin.row, c, opts.series, opts.tz);
    const ms = m.t0 + c * m.step;
    const peak = m.max && !f.empty ? `, peak ${exact(m.max[this.pin.row * m.n + c])}` : '';
    this.readout.textContent = `${dateTime(ms, opts.tz)} ${zoneName(ms, opts.tz)}  ${f.empty ? f.stateName : `${f.number} ${f.unit}${peak}`}`;
  }
}
