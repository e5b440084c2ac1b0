// heatmap.js: lays out and draws the picture (event marks, cells, totals strip, both axes) and finds what is
// under a point. Two canvases: `base` holds the picture, `over` the crosshair; must not fetch or change state.

import { fitCanvas } from './dom.js';
import { columnSegments, rowSegments, paint, survey, cellUnder, largest } from './raster.js';
import { makeScale, tableOf, parseColour } from './colour.js';
import { drawTimeAxis, drawKeyAxis, gutterWidth, labelRows } from './axes.js';
import { placeMarks, drawMarks, markAt, touches } from './events.js';
import { poolSeries, drawSteps, drawGaps, niceTop } from './chart.js';
import { compact, SERIES } from './format.js';
import { STATE } from './model.js';

const VALUE_STATES = (1 << STATE.measured) | (1 << STATE.idle) | (1 << STATE.partial);

/** What every column is: 1 something was recorded, 2 nobody recorded it, 0 neither. */
function columnKinds(m) {
  const seen = new Uint8Array(m.n);
  for (let r = 0; r < m.rows.length; r++) {
    for (let c = 0, k = r * m.n; c < m.n; c++, k++) seen[c] |= 1 << m.state[k];
  }
  return seen.map((s, c) => (s & VALUE_STATES || m.totals.recorded[c] > 0 || m.totals.unattributed[c] > 0 ? 1 : s & (1 << STATE.missing) ? 2 : 0));
}

export class Heatmap {
  constructor(base, over) {
    this.base = base;
    this.over = over;
    this.model = null;
    this.events = [];
    this.marks = [];
    this.opts = { series: 'writes', scale: 'log', value: 'total', palette: 'viridis', tz: 'utc' };
    this.view = { from: 0, to: 1 };
    this.cursor = null;
    this.pin = null;
    this.selection = null;
    this.mark = null;
  }

  setModel(model) {
    this.model = model;
    this.kinds = model ? columnKinds(model) : null;
  }

  get values() {
    const m = this.model;
    return this.opts.value === 'peak' && m.max ? m.max : m.values;
  }

  /** Places for everything, in CSS pixels. */
  layout(width, height, theme, ctx) {
    const strip = height < 420 ? 26 : 40;
    const top = 26;
    const bottom = strip + 12 + 38;
    const rows = this.model.rows;
    const h = Math.max(40, height - top - bottom);
    const texts = labelRows(rows.length, h).map(({ row }) => rows[row].label);
    const gutter = gutterWidth(ctx, texts, theme, width < 620 ? 56 : 84, width < 620 ? width * 0.28 : 230);
    const right = 14;
    const w = Math.max(40, Math.floor(width - gutter - right));
    this.gutter = gutter;
    this.size = { width, height };
    this.box = { x: gutter, y: top, w, h };
    this.eventBox = { x: gutter, y: 4, w, h: top - 6 };
    this.stripBox = { x: gutter, y: top + h + 10, w, h: strip };
    this.axisBox = { x: gutter, y: top + h + 10 + strip, w };
  }

  draw(width, height, theme) {
    this.theme = theme;
    const ctx = fitCanvas(this.base, width, height);
    fitCanvas(this.over, width, height);
    if (!this.model) return null;
    this.layout(width, height, theme, ctx);
    const m = this.model;
    const { box, opts } = this;
    const dpr = window.devicePixelRatio || 1;
    this.dpr = dpr;
    const W = Math.max(1, Math.round(box.w * dpr));
    const H = Math.max(1, Math.round(box.h * dpr));
    this.cols = columnSegments(m, this.view, W);
    this.rows = rowSegments(m, H);
    const values = this.values;
    const found = survey(m, values, this.cols);
    this.scale = makeScale(found.max, opts.scale);
    this.found = found;
    const image = ctx.createImageData(W, H);
    const raw = { bg: parseColour(theme.bg), missing: parseColour(theme.missing), missingInk: parseColour(theme.missingInk), pendingInk: parseColour(theme.pendingInk) };
    paint(image, m, values, this.rows, this.cols, this.scale, tableOf(opts.palette), raw, Math.max(1, Math.round(dpr)));
    ctx.putImageData(image, Math.round(box.x * dpr), Math.round(box.y * dpr));

    this.rowLines(ctx);
    ctx.strokeStyle = theme.line;
    ctx.strokeRect(box.x - 0.5, box.y - 0.5, box.w + 1, box.h + 1);
    drawKeyAxis(ctx, box, this.gutter, m.rows, theme);
    this.drawStrip(ctx);
    drawTimeAxis(ctx, this.axisBox, this.view, opts.tz, theme, this.axisBox.y);
    this.marks = placeMarks(this.events, this.view, this.eventBox);
    drawMarks(ctx, this.marks, this.eventBox, theme);
    this.drawOver();
    return { found, scale: this.scale, pooled: this.cols.lo.length > 0 && (m.n > W || m.rows.length > H) };
  }

  /** Hairlines between tall rows, so that neighbours of one colour stay two rows. */
  rowLines(ctx) {
    const n = this.model.rows.length;
    const h = this.box.h / n;
    if (h < 7) return;
    ctx.fillStyle = this.theme.bg;
    ctx.globalAlpha = h < 14 ? 0.5 : 1;
    for (let r = 1; r < n; r++) ctx.fillRect(this.box.x, Math.round(this.box.y + r * h), this.box.w, 1);
    ctx.globalAlpha = 1;
  }

  /** The slim strip under the picture: what was recorded in all, and what met no known range. */
  drawStrip(ctx) {
    const { stripBox: box, theme, model: m, kinds } = this;
    const bytes = SERIES[this.opts.series].bytes;
    const W = Math.round(box.w);
    const first = (this.view.from - m.t0) / m.step;
    const per = (this.view.to - this.view.from) / m.step / W;
    const known = (c) => kinds[c] === 1;
    const recorded = poolSeries(m.totals.recorded, known, first, per, W);
    const lost = poolSeries(m.totals.unattributed, (c) => m.totals.unattributed[c] > 0, first, per, W);
    let max = 0;
    let anyLost = false;
    for (let x = 0; x < W; x++) {
      if (recorded[x] > max) max = recorded[x];
      if (lost[x] > 0) anyLost = true;
      if (!bytes && lost[x] > max) max = lost[x];
    }
    this.anyLost = anyLost;
    const top = niceTop(max, bytes);
    const gaps = poolSeries(Float64Array.from(kinds, (k) => (k === 2 ? 1 : 0)), () => true, first, per, W);
    drawGaps(ctx, box, W, (x) => Number.isNaN(recorded[x]) && gaps[x] === 1, theme);
    drawSteps(ctx, box, recorded, top, { fill: theme.faint });
    drawSteps(ctx, box, recorded, top, { stroke: theme.dim });
    if (anyLost && !bytes) drawSteps(ctx, box, lost, top, { stroke: theme.warn, width: 1.25, dash: [3, 2] });
    if (anyLost && bytes) {
      ctx.fillStyle = theme.warn;
      for (let x = 0; x < W; x++) if (lost[x] > 0) ctx.fillRect(box.x + x, box.y, 1.5, 3);
    }
    ctx.strokeStyle = theme.line;
    ctx.beginPath();
    ctx.moveTo(box.x, box.y + box.h + 0.5);
    ctx.lineTo(box.x + box.w, box.y + box.h + 0.5);
    ctx.stroke();
    ctx.font = `11px ${theme.sans}`;
    ctx.textAlign = 'right';
    ctx.textBaseline = 'middle';
    ctx.fillStyle = theme.dim;
    if (max > 0) ctx.fillText(compact(top, bytes), box.x - 8, box.y + 4, this.gutter - 10);
    ctx.fillText('all rows', box.x - 8, box.y + box.h - 5, this.gutter - 10);
    ctx.strokeStyle = theme.line;
    ctx.beginPath();
    ctx.moveTo(box.x - 4, box.y + 0.5);
    ctx.lineTo(box.x, box.y + 0.5);
    ctx.stroke();
  }

  timeAt(x) {
    return this.view.from + ((x - this.box.x) / this.box.w) * (this.view.to - this.view.from);
  }

  xOf(ms) {
    return this.box.x + ((ms - this.view.from) / (this.view.to - this.view.from)) * this.box.w;
  }

  /** What is at a point of the canvas: { kind: 'cell' | 'mark' | 'column' | 'row', ... } or null. */
  hit(x, y) {
    if (!this.model || !this.box) return null;
    const { box } = this;
    const inX = x >= box.x && x < box.x + box.w;
    if (inX && y < box.y) {
      const mark = markAt(this.marks, x);
      return mark ? { kind: 'mark', mark } : null;
    }
    const px = Math.min(this.cols.seg.length - 1, Math.floor((x - box.x) * this.dpr));
    if (inX && y >= box.y && y < box.y + box.h) {
      const py = Math.min(this.rows.seg.length - 1, Math.floor((y - box.y) * this.dpr));
      const cell = cellUnder(this.model, this.values, this.rows, this.cols, px, py);
      return cell ? { kind: 'cell', ...cell } : null;
    }
    if (inX && y >= this.stripBox.y && y < this.stripBox.y + this.stripBox.h) {
      const i = this.cols.seg[px];
      if (i < 0) return null;
      let col = this.cols.lo[i];
      for (let c = col; c < this.cols.hi[i]; c++) if (this.model.totals.recorded[c] > this.model.totals.recorded[col]) col = c;
      return { kind: 'column', col };
    }
    if (x < box.x && y >= box.y && y < box.y + box.h) {
      return { kind: 'row', row: Math.min(this.model.rows.length - 1, Math.floor(((y - box.y) / box.h) * this.model.rows.length)) };
    }
    return null;
  }

  /** A cell's rectangle in CSS pixels. */
  cellRect(row, col) {
    const m = this.model;
    const h = this.box.h / m.rows.length;
    const x = this.xOf(m.t0 + col * m.step);
    return { x, y: this.box.y + row * h, w: this.xOf(m.t0 + (col + 1) * m.step) - x, h };
  }

  visibleColumns() {
    const { lo, hi } = this.cols;
    return lo.length ? [lo[0], hi[hi.length - 1] - 1] : null;
  }

  largestCell() {
    return this.model ? largest(this.model, this.values, this.cols) : null;
  }

  /** Crosshair, pinned cell, selection and event line; cheap enough for every mouse move. */
  drawOver() {
    const { width, height } = this.size ?? {};
    if (!width) return;
    const ctx = fitCanvas(this.over, width, height);
    if (!this.model || !this.box) return;
    const { box, theme } = this;
    ctx.save();
    ctx.beginPath();
    ctx.rect(box.x - 1, 0, box.w + 2, this.axisBox.y);
    ctx.clip();
    if (this.mark) this.overMark(ctx);
    if (this.pin) this.overPin(ctx);
    if (this.cursor && !this.selection) {
      const r = this.cellRect(this.cursor.row, this.cursor.col);
      const cx = Math.round(r.x + r.w / 2) + 0.5;
      const cy = Math.round(r.y + r.h / 2) + 0.5;
      ctx.strokeStyle = theme.fg;
      ctx.globalAlpha = 0.45;
      ctx.beginPath();
      ctx.moveTo(cx, box.y); ctx.lineTo(cx, this.axisBox.y);
      ctx.moveTo(box.x, cy); ctx.lineTo(box.x + box.w, cy);
      ctx.stroke();
      ctx.globalAlpha = 1;
      this.frame(ctx, r, 1);
    }
    if (this.selection) {
      const { x0, x1, y0, y1 } = this.selection;
      const top = y0 ?? box.y;
      const h = (y1 ?? box.y + box.h) - top;
      ctx.fillStyle = theme.bg;
      ctx.globalAlpha = 0.55;
      ctx.fillRect(box.x, box.y, x0 - box.x, box.h);
      ctx.fillRect(x1, box.y, box.x + box.w - x1, box.h);
      if (y0 !== null) {
        ctx.fillRect(x0, box.y, x1 - x0, y0 - box.y);
        ctx.fillRect(x0, y1, x1 - x0, box.y + box.h - y1);
      }
      ctx.globalAlpha = 1;
      ctx.strokeStyle = theme.fg;
      ctx.strokeRect(Math.round(x0) + 0.5, top + 0.5, Math.round(x1 - x0), h - 1);
    }
    ctx.restore();
  }

  frame(ctx, r, width) {
    const w = Math.max(4, r.w);
    const h = Math.max(4, r.h);
    const x = r.x + r.w / 2 - w / 2;
    const y = r.y + r.h / 2 - h / 2;
    ctx.lineWidth = width + 2;
    ctx.strokeStyle = '#000';
    ctx.strokeRect(x, y, w, h);
    ctx.lineWidth = width;
    ctx.strokeStyle = '#fff';
    ctx.strokeRect(x, y, w, h);
    ctx.lineWidth = 1;
  }

  overPin(ctx) {
    const r = this.cellRect(this.pin.row, this.pin.col);
    ctx.strokeStyle = '#fff';
    ctx.globalAlpha = 0.8;
    ctx.setLineDash([2, 3]);
    const h = Math.max(3, r.h);
    ctx.strokeRect(this.box.x + 0.5, Math.round(r.y + r.h / 2 - h / 2) + 0.5, this.box.w - 1, Math.round(h));
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
    this.frame(ctx, r, 1.5);
  }

  overMark(ctx) {
    const { box } = this;
    const x = Math.round(this.mark.x) + 0.5;
    ctx.strokeStyle = '#fff';
    ctx.globalAlpha = 0.9;
    ctx.setLineDash([4, 3]);
    ctx.beginPath();
    ctx.moveTo(x, this.eventBox.y + 10);
    ctx.lineTo(x, box.y + box.h);
    ctx.stroke();
    ctx.setLineDash([]);
    const h = box.h / this.model.rows.length;
    this.model.rows.forEach((row, r) => {
      if (this.mark.events.some((e) => touches(e, row))) {
        ctx.strokeRect(box.x + 0.5, Math.round(box.y + r * h) + 0.5, box.w - 1, Math.max(2, Math.round(h) - 1));
      }
    });
    ctx.globalAlpha = 1;
  }
}
