// Lays out and draws the picture (event marks, cells, totals strip, both axes) and finds what is under a point.
// Two canvases: `base` holds the picture, `over` the crosshair; must not fetch or change what is shown.

import { columnKinds, type Model } from '../model/answer';
import { compact } from '../model/format';
import { seriesWords } from '../model/facts';
import type { Shown } from '../model/url';
import { drawKeyAxis, drawTimeAxis, gutterWidth, labelRows } from './axes';
import { colourTables, makeScale, pack, parseColour, roundTop, tableOf, type Scale } from './colour';
import { drawMarks, drawPins, kindOf, markAt, placeMarks, touches, type EventMark, type Happening, type Pin } from './events';
import { Pyramid } from './pyramid';
import { cellUnder, columnsOf, gridOf, largest, paint, survey, type Cell, type Grid, type Inks } from './raster';
import { drawGaps, drawSteps, niceTop, poolSeries } from './strip';
import { fitCanvas, type Box, type Theme } from './theme';
import type { View } from './view';

export type Hit =
  | { kind: 'cell'; row: number; col: number; cells: number }
  | { kind: 'mark'; mark: EventMark }
  | { kind: 'pin'; pins: Pin[] }
  | { kind: 'column'; col: number }
  | { kind: 'row'; row: number }
  | { kind: 'time' };

export interface Found { max: number; marks: number; pooled: boolean; anyLost: boolean; scale: Scale }

export interface Brush { x0: number; x1: number; y0: number | null; y1: number | null }

/** An event as lines in the picture: where it is, and over which runs of rows. */
interface EventLine { ms: number; kind: string; runs: [number, number][] }

const NOWHERE: Box = { x: 0, y: 0, w: 1, h: 1 };

export class Picture {
  model: Model | null = null;
  view: View = { from: 0, to: 1, y0: 0, y1: 1 };
  cursor: Cell | null = null;
  pin: Cell | null = null;
  mark: EventMark | null = null;
  brush: Brush | null = null;
  /** Nothing finer than roll-ups, or nothing at all, is kept before these times; 0 = unknown. */
  retained = { fine: 0, all: 0 };
  box: Box = NOWHERE;
  axisBox: Box = NOWHERE;
  stripBox: Box = NOWHERE;
  marks: EventMark[] = [];
  pins: Pin[] = [];
  kinds: Uint8Array = new Uint8Array(0);
  found: Found | null = null;
  private gutter = 0;
  private eventBox: Box = NOWHERE;
  private size = { width: 0, height: 0 };
  private grid: Grid | null = null;
  private image: ImageData | null = null;
  private pixels = new Uint32Array(0);
  private pyramids = new Map<string, Pyramid>();
  private events: Happening[] = [];
  private lines: EventLine[] = [];
  private inks: { key: string; inks: Inks } | null = null;
  private autoTop = 0;
  private theme: Theme | null = null;
  private dpr = 1;

  constructor(private readonly base: HTMLCanvasElement, private readonly over: HTMLCanvasElement) {}

  setModel(model: Model | null): void {
    if (model === this.model) return;
    this.model = model;
    this.pyramids.clear();
    this.autoTop = 0;
    this.kinds = model ? columnKinds(model) : new Uint8Array(0);
    this.setEvents(this.events);
  }

  setEvents(events: Happening[]): void {
    this.events = events;
    const rows = this.model?.rows ?? [];
    this.lines = events.filter((e) => e.kind !== 'backfill' && e.kind !== 'create').slice(-400).map((e) => {
      const runs: [number, number][] = [];
      rows.forEach((row, r) => {
        if (!touches(e, row)) return;
        const last = runs[runs.length - 1];
        if (last && last[1] === r) last[1] = r + 1;
        else runs.push([r, r + 1]);
      });
      return { ms: e.ms, kind: e.kind, runs };
    });
  }

  /** What colours the cells. */
  values(shown: Shown): Float64Array {
    const m = this.model as Model;
    return shown.value === 'peak' && m.max ? m.max : m.values;
  }

  private pyramid(shown: Shown): Pyramid {
    const m = this.model as Model;
    const name = shown.value === 'peak' && m.max ? 'peak' : 'total';
    let pyramid = this.pyramids.get(name);
    if (!pyramid) {
      pyramid = Pyramid.of(m, this.values(shown));
      this.pyramids.set(name, pyramid);
    }
    return pyramid;
  }

  /** The scale's top: what is asked for, or what is in view, held while one moves. */
  topOf(shown: Shown): number {
    return shown.top || this.autoTop || 1;
  }

  private layout(ctx: CanvasRenderingContext2D, width: number, height: number, theme: Theme, moving: boolean): void {
    const strip = height < 420 ? 26 : 40;
    const top = 26;
    const h = Math.max(40, height - top - (strip + 12 + 38));
    const { y0, y1 } = this.view;
    const rows = this.model?.rows ?? [];
    if (!moving || this.size.width !== width) {
      const texts = labelRows(y0, y1, h).map(({ row }) => rows[row]?.startText ?? '');
      this.gutter = gutterWidth(ctx, texts, theme, width < 620 ? 56 : 84, width < 620 ? width * 0.28 : 230);
    }
    const w = Math.max(40, Math.floor(width - this.gutter - 14));
    this.size = { width, height };
    this.box = { x: this.gutter, y: top, w, h };
    this.eventBox = { x: this.gutter, y: 4, w, h: top - 6 };
    this.stripBox = { x: this.gutter, y: top + h + 10, w, h: strip };
    this.axisBox = { x: this.gutter, y: top + h + 10 + strip, w, h: 38 };
  }

  /** Draws everything. While one moves (`moving`) the scale and the gutter stay as they are. */
  draw(width: number, height: number, theme: Theme, shown: Shown, moving = false): Found | null {
    this.theme = theme;
    const ctx = fitCanvas(this.base, width, height);
    fitCanvas(this.over, width, height);
    const m = this.model;
    if (!m || m.n === 0 || m.rows.length === 0) return null;
    this.layout(ctx, width, height, theme, moving);
    const { box } = this;
    const dpr = window.devicePixelRatio || 1;
    this.dpr = dpr;
    const W = Math.max(1, Math.round(box.w * dpr));
    const H = Math.max(1, Math.round(box.h * dpr));
    const grid = gridOf(m, this.pyramid(shown), this.view, W, H);
    this.grid = grid;
    const bytes = seriesWords(shown.series).bytes;
    if (!moving || !this.found || this.autoTop === 0) {
      const { max, marks } = survey(m, this.values(shown), grid);
      this.autoTop = roundTop(max, bytes);
      this.found = {
        max, marks, pooled: grid.levelX > 0 || grid.levelY > 0, anyLost: false,
        scale: makeScale(this.topOf(shown), shown.scale, shown.bright),
      };
    }
    const image = this.imageFor(ctx, W, H);
    paint(this.pixels, W, H, grid, this.inksFor(shown, theme), Math.max(1, Math.round(dpr)));
    ctx.putImageData(image, Math.round(box.x * dpr), Math.round(box.y * dpr));
    this.rowLines(ctx);
    this.drawRetention(ctx);
    this.drawEventLines(ctx);
    ctx.strokeStyle = theme.line;
    ctx.strokeRect(box.x - 0.5, box.y - 0.5, box.w + 1, box.h + 1);
    drawKeyAxis(ctx, box, this.gutter, m.rows, this.view.y0, this.view.y1, theme);
    this.found.anyLost = this.drawStrip(ctx, m, bytes);
    drawTimeAxis(ctx, this.axisBox, this.view.from, this.view.to, shown.tz, theme);
    this.marks = placeMarks(this.events, this.view.from, this.view.to, this.eventBox);
    drawPins(ctx, this.pins, this.view.from, this.view.to, this.eventBox, theme);
    drawMarks(ctx, this.marks, this.eventBox, theme);
    this.drawOver();
    return this.found;
  }

  private imageFor(ctx: CanvasRenderingContext2D, width: number, height: number): ImageData {
    if (!this.image || this.image.width !== width || this.image.height !== height) {
      this.image = ctx.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    return this.image;
  }

  private inksFor(shown: Shown, theme: Theme): Inks {
    const top = this.topOf(shown);
    const key = [top, shown.scale, shown.bright, shown.palette, theme.bg].join();
    if (this.inks?.key !== key) {
      const { colour, ink } = colourTables(makeScale(top, shown.scale, shown.bright), tableOf(shown.palette));
      const of = (text: string): number => pack(parseColour(text));
      this.inks = {
        key,
        inks: { colour, ink, ground: of(theme.bg), missing: of(theme.missing), missingInk: of(theme.missingInk), pendingInk: of(theme.pendingInk) },
      };
    }
    return this.inks.inks;
  }

  private yOf(row: number): number {
    return this.box.y + ((row - this.view.y0) / (this.view.y1 - this.view.y0)) * this.box.h;
  }

  xOf(ms: number): number {
    return this.box.x + ((ms - this.view.from) / (this.view.to - this.view.from)) * this.box.w;
  }

  timeAt(x: number): number {
    return this.view.from + ((x - this.box.x) / this.box.w) * (this.view.to - this.view.from);
  }

  rowAt(y: number): number {
    return this.view.y0 + ((y - this.box.y) / this.box.h) * (this.view.y1 - this.view.y0);
  }

  /** Hairlines between tall rows, so that neighbours of one colour stay two rows. */
  private rowLines(ctx: CanvasRenderingContext2D): void {
    const { box, view } = this;
    const h = box.h / (view.y1 - view.y0);
    if (h < 7) return;
    ctx.fillStyle = '#000';
    ctx.globalAlpha = h < 14 ? 0.3 : 0.55;
    for (let r = Math.ceil(view.y0 + 1e-6); r < view.y1; r++) ctx.fillRect(box.x, Math.round(this.yOf(r)), box.w, 1);
    ctx.globalAlpha = 1;
  }

  /** Where retention begins: a line, and in words what lies before it. */
  private drawRetention(ctx: CanvasRenderingContext2D): void {
    const { box, theme } = this;
    if (!theme) return;
    for (const [ms, text] of [[this.retained.fine, 'finest windows begin here'], [this.retained.all, 'retention begins here']] as const) {
      if (ms <= this.view.from || ms >= this.view.to) continue;
      const x = Math.round(this.xOf(ms)) + 0.5;
      ctx.save();
      ctx.strokeStyle = theme.accent;
      ctx.setLineDash([6, 4]);
      ctx.beginPath();
      ctx.moveTo(x, box.y);
      ctx.lineTo(x, box.y + box.h);
      ctx.stroke();
      ctx.font = `11px ${theme.sans}`;
      const w = ctx.measureText(text).width + 12;
      const left = x + w < box.x + box.w ? x : x - w;
      ctx.fillStyle = theme.panel;
      ctx.fillRect(left, box.y + box.h - 22, w, 18);
      ctx.fillStyle = theme.fg;
      ctx.textBaseline = 'middle';
      ctx.fillText(text, left + 6, box.y + box.h - 13);
      ctx.restore();
    }
  }

  /** Events as short lines over the rows that they are about. */
  private drawEventLines(ctx: CanvasRenderingContext2D): void {
    const { box } = this;
    ctx.save();
    ctx.beginPath();
    ctx.rect(box.x, box.y, box.w, box.h);
    ctx.clip();
    for (const line of this.lines) {
      if (line.ms < this.view.from || line.ms >= this.view.to) continue;
      const x = Math.round(this.xOf(line.ms));
      for (const [a, b] of line.runs) {
        const y = this.yOf(a);
        const h = this.yOf(b) - y;
        ctx.fillStyle = 'rgba(0,0,0,.55)';
        ctx.fillRect(x - 1, y, 3, h);
        ctx.fillStyle = line.kind === 'leader' ? 'rgba(255,255,255,.6)' : '#fff';
        ctx.fillRect(x, y, 1, h);
      }
    }
    ctx.restore();
  }

  /** The slim strip under the picture: what was recorded in all, and what met no known range. */
  private drawStrip(ctx: CanvasRenderingContext2D, m: Model, bytes: boolean): boolean {
    const { stripBox: box, kinds } = this;
    const theme = this.theme as Theme;
    const W = Math.round(box.w);
    const first = (this.view.from - m.t0) / m.step;
    const per = (this.view.to - this.view.from) / m.step / W;
    const recorded = poolSeries(m.totals.recorded, (c) => kinds[c] === 1, first, per, W);
    const lost = poolSeries(m.totals.unattributed, (c) => m.totals.unattributed[c] > 0, first, per, W);
    const gaps = poolSeries(kinds, (c) => kinds[c] === 2, first, per, W);
    let max = 0;
    let anyLost = false;
    for (let x = 0; x < W; x++) {
      if (recorded[x] > max) max = recorded[x];
      if (lost[x] > 0) anyLost = true;
      if (!bytes && lost[x] > max) max = lost[x];
    }
    const top = niceTop(max, bytes);
    drawGaps(ctx, box, W, (x) => Number.isNaN(recorded[x]) && gaps[x] === 2, theme);
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
    ctx.moveTo(box.x - 4, box.y + 0.5);
    ctx.lineTo(box.x, box.y + 0.5);
    ctx.stroke();
    ctx.font = `11px ${theme.sans}`;
    ctx.textAlign = 'right';
    ctx.textBaseline = 'middle';
    ctx.fillStyle = theme.dim;
    if (max > 0) ctx.fillText(compact(top, bytes), box.x - 8, box.y + 4, this.gutter - 10);
    ctx.fillText('all keys', box.x - 8, box.y + box.h - 5, this.gutter - 10);
    return anyLost;
  }

  /** What is at a point of the canvas, in CSS pixels. */
  hit(x: number, y: number, shown: Shown): Hit | null {
    const { box, model: m, grid } = this;
    if (!m || !grid) return null;
    const inX = x >= box.x && x < box.x + box.w;
    if (inX && y < box.y) {
      const mark = markAt(this.marks, x);
      if (mark) return { kind: 'mark', mark };
      const pins = this.pins.filter((pin) => pin.from <= this.timeAt(x) && this.timeAt(x) < pin.to);
      return pins.length > 0 ? { kind: 'pin', pins } : null;
    }
    const px = Math.min(grid.cols.length - 1, Math.floor((x - box.x) * this.dpr));
    if (inX && y >= box.y && y < box.y + box.h) {
      const py = Math.min(grid.rows.length - 1, Math.floor((y - box.y) * this.dpr));
      const cell = cellUnder(m, this.values(shown), grid, px, py);
      return cell ? { kind: 'cell', ...cell } : null;
    }
    if (inX && y >= this.stripBox.y && y < this.stripBox.y + this.stripBox.h) return this.columnUnder(m, grid, px);
    if (x < box.x && y >= box.y && y < box.y + box.h) {
      return { kind: 'row', row: Math.max(0, Math.min(m.rows.length - 1, Math.floor(this.rowAt(y)))) };
    }
    return inX && y >= this.axisBox.y ? { kind: 'time' } : null;
  }

  private columnUnder(m: Model, grid: Grid, px: number): Hit | null {
    const i = grid.cols[px];
    if (i < 0) return null;
    const [first, stop] = columnsOf(m, grid, i);
    let col = first;
    for (let c = first; c < stop; c++) if (m.totals.recorded[c] > m.totals.recorded[col]) col = c;
    return { kind: 'column', col };
  }

  /** A cell's rectangle in CSS pixels. */
  cellRect(row: number, col: number): Box {
    const m = this.model as Model;
    const x = this.xOf(m.t0 + col * m.step);
    const y = this.yOf(row);
    return { x, y, w: this.xOf(m.t0 + (col + 1) * m.step) - x, h: this.yOf(row + 1) - y };
  }

  /** The rows and columns in view, half-open. */
  visible(): { row0: number; row1: number; col0: number; col1: number } | null {
    const { grid } = this;
    return grid && grid.col1 > grid.col0 && grid.row1 > grid.row0 ? grid : null;
  }

  largestCell(shown: Shown): Cell | null {
    return this.model && this.grid ? largest(this.model, this.values(shown), this.grid) : null;
  }

  /** Crosshair, pinned cell, brush and event line; cheap enough for every mouse move. */
  drawOver(): void {
    const { width, height } = this.size;
    const { box, theme } = this;
    if (!width || !theme) return;
    const ctx = fitCanvas(this.over, width, height);
    if (!this.model) return;
    ctx.save();
    ctx.beginPath();
    ctx.rect(box.x - 1, 0, box.w + 2, this.axisBox.y);
    ctx.clip();
    if (this.mark) this.overMark(ctx, this.mark);
    if (this.pin) this.overPin(ctx, this.pin);
    if (this.cursor && !this.brush) this.overCursor(ctx, this.cursor, theme);
    if (this.brush) this.overBrush(ctx, this.brush, theme);
    ctx.restore();
  }

  private overCursor(ctx: CanvasRenderingContext2D, cursor: Cell, theme: Theme): void {
    const { box } = this;
    const r = this.cellRect(cursor.row, cursor.col);
    const cx = Math.round(r.x + r.w / 2) + 0.5;
    const cy = Math.round(r.y + r.h / 2) + 0.5;
    ctx.strokeStyle = theme.fg;
    ctx.globalAlpha = 0.45;
    ctx.beginPath();
    ctx.moveTo(cx, box.y);
    ctx.lineTo(cx, this.axisBox.y);
    ctx.moveTo(box.x, cy);
    ctx.lineTo(box.x + box.w, cy);
    ctx.stroke();
    ctx.globalAlpha = 1;
    this.frame(ctx, r, 1);
  }

  private overBrush(ctx: CanvasRenderingContext2D, { x0, x1, y0, y1 }: Brush, theme: Theme): void {
    const { box } = this;
    const top = y0 ?? box.y;
    const bottom = y1 ?? box.y + box.h;
    ctx.fillStyle = theme.bg;
    ctx.globalAlpha = 0.55;
    ctx.fillRect(box.x, box.y, x0 - box.x, box.h);
    ctx.fillRect(x1, box.y, box.x + box.w - x1, box.h);
    ctx.fillRect(x0, box.y, x1 - x0, top - box.y);
    ctx.fillRect(x0, bottom, x1 - x0, box.y + box.h - bottom);
    ctx.globalAlpha = 1;
    ctx.strokeStyle = theme.fg;
    ctx.strokeRect(Math.round(x0) + 0.5, top + 0.5, Math.round(x1 - x0), bottom - top - 1);
  }

  private frame(ctx: CanvasRenderingContext2D, r: Box, width: number): void {
    const w = Math.max(4, r.w);
    const h = Math.max(4, r.h);
    const x = r.x + r.w / 2 - w / 2;
    const y = r.y + r.h / 2 - h / 2;
    for (const [line, colour] of [[width + 2, '#000'], [width, '#fff']] as const) {
      ctx.lineWidth = line;
      ctx.strokeStyle = colour;
      ctx.strokeRect(x, y, w, h);
    }
    ctx.lineWidth = 1;
  }

  private overPin(ctx: CanvasRenderingContext2D, pin: Cell): void {
    const r = this.cellRect(pin.row, pin.col);
    ctx.strokeStyle = '#fff';
    ctx.globalAlpha = 0.8;
    ctx.setLineDash([2, 3]);
    const h = Math.max(3, r.h);
    ctx.strokeRect(this.box.x + 0.5, Math.round(r.y + r.h / 2 - h / 2) + 0.5, this.box.w - 1, Math.round(h));
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
    this.frame(ctx, r, 1.5);
  }

  private overMark(ctx: CanvasRenderingContext2D, mark: EventMark): void {
    const { box, model } = this;
    const x = Math.round(mark.x) + 0.5;
    ctx.strokeStyle = '#fff';
    ctx.globalAlpha = 0.9;
    ctx.setLineDash([4, 3]);
    ctx.beginPath();
    ctx.moveTo(x, this.eventBox.y + 10);
    ctx.lineTo(x, box.y + box.h);
    ctx.stroke();
    ctx.setLineDash([]);
    if (kindOf(mark) !== 'leader') {
      model?.rows.forEach((row, r) => {
        if (r + 1 < this.view.y0 || r > this.view.y1 || !mark.events.some((e) => touches(e, row))) return;
        const y = this.yOf(r);
        ctx.strokeRect(box.x + 0.5, Math.round(y) + 0.5, box.w - 1, Math.max(2, Math.round(this.yOf(r + 1) - y) - 1));
      });
    }
    ctx.globalAlpha = 1;
  }
}
