// The one changing state of the page: what is shown, what the node answered, what is pointed at.
// Ties URL, questions and picture together; must not build elements.

import { ApiError, fetchEvents, fetchMatrix, fetchPins, fetchRetention, isAbort, setToken } from './model/api';
import { columnKinds, decode, sumOf, type Model } from './model/answer';
import { covers, matrixParams, planFor, type Known, type Plan } from './model/plan';
import { DEFAULT_SPAN, parse, questionOf, serialise, type Shown } from './model/url';
import { decodeEvents, decodePins } from './picture/events';
import type { Found, Picture } from './picture/picture';
import { readTheme, type Theme } from './picture/theme';
import { clampRows, keysOf, rowsOf, wholeRows, type View } from './picture/view';
import type { Cell } from './picture/raster';

/** What makes an answer look like another one: its values, not its place. */
const kindOf = (s: Shown): string => `${s.series} ${s.cont}`;

const SETTLE_MS = 160;
/** Moves that follow each other this closely are one entry of the browser's history. */
const ONE_MOVE_MS = 1500;

export class Session {
  shown: Shown = $state.raw(parse(location.search, Date.now()));
  /** The span while it is being moved; the rest of the time that of `shown`. */
  span: { from: number; to: number } = $state.raw({ from: 0, to: 0 });
  model: Model | null = $state.raw(null);
  failure: ApiError | null = $state.raw(null);
  busy = $state(false);
  stale = $state(false);
  refused = $state(false);
  note = $state('');
  found: Found | null = $state.raw(null);
  pin: Cell | null = $state.raw(null);
  theme: Theme = $state.raw(readTheme());
  /** Changes when the picture was drawn anew, for what is placed by it. */
  drawn = $state(0);

  picture: Picture | null = null;
  private size = { width: 0, height: 0 };
  private skew = 0;
  private outline: Model | null = null;
  private answered: { plan: Plan; question: string; kind: string } | null = null;
  private inflight: AbortController | null = null;
  private timer = 0;
  private settling = 0;
  private frame = 0;
  private moving = false;
  private failures = 0;
  private lastPush = -Infinity;
  private onDraw: () => void = () => undefined;

  now(): number { return Date.now() + this.skew; }

  // --- beginning and end -------------------------------------------------------------------------------

  start(picture: Picture, onDraw: () => void): void {
    this.picture = picture;
    this.onDraw = onDraw;
    this.look();
    history.replaceState({ depth: (history.state as { depth?: number } | null)?.depth ?? 0 }, '', serialise(this.shown));
    void this.load();
    void this.askRetention();
  }

  resize(width: number, height: number): void {
    if (width === this.size.width && height === this.size.height) return;
    this.size = { width, height };
    this.render();
  }

  restyle(): void {
    this.theme = readTheme();
    this.render();
  }

  popState(): void {
    this.shown = parse(location.search, this.now());
    this.look();
    this.afterChange();
  }

  // --- what is shown -----------------------------------------------------------------------------------

  /** Changes what is shown; a new place or question is a new entry of the browser's history. */
  navigate(patch: Partial<Shown>, { replace = false } = {}): void {
    const next = { ...this.shown, ...patch };
    const url = serialise(next);
    if (url === serialise(this.shown)) return;
    const place = (s: Shown): string => JSON.stringify([questionOf(s), s.from, s.to, s.live, s.start, s.end, s.cont]);
    const isPlace = place(next) !== place(this.shown);
    this.shown = next;
    const depth = (history.state as { depth?: number } | null)?.depth ?? 0;
    if (isPlace && !replace) history.pushState({ depth: depth + 1 }, '', url);
    else history.replaceState({ depth }, '', url);
    this.look();
    this.afterChange();
  }

  /** One place back, or out where there is none. */
  back(): void {
    if (((history.state as { depth?: number } | null)?.depth ?? 0) > 0) history.back();
    else if (this.shown.start || this.shown.end) this.navigate({ start: '', end: '' });
    else {
      const half = (this.shown.to - this.shown.from) / 2;
      this.setSpan(this.shown.from - half, this.shown.to + half);
    }
  }

  setSpan(from: number, to: number): void {
    const latest = this.now();
    const length = Math.max(5000, Math.round(to - from));
    const end = Math.min(Math.round(to), Math.ceil(latest));
    const live = this.shown.live === 'off' ? 'off' : end >= latest - 3000 ? 'follow' : 'hold';
    this.navigate({ from: Math.max(0, end - length), to: end, live, top: this.heldTop() });
  }

  /** The scale survives a zoom: what it was is written down. */
  heldTop(): number {
    return this.shown.top || (this.picture && this.model ? this.picture.topOf(this.shown) : 0);
  }

  /** Moves the picture at once; what it shows is asked for and written into the URL when it stands still. */
  move(view: View): void {
    if (!this.picture) return;
    this.picture.view = view;
    this.moving = true;
    this.span = { from: view.from, to: view.to };
    this.render();
    clearTimeout(this.settling);
    this.settling = window.setTimeout(() => this.settle(), SETTLE_MS);
  }

  private settle(): void {
    const { picture, model, shown } = this;
    this.moving = false;
    if (!picture) return;
    const { view } = picture;
    const [y0, y1] = wholeRows(view);
    const keys = model ? keysOf(model, y0, y1) : { start: shown.start, end: shown.end };
    const [from, to] = [Math.round(view.from), Math.round(view.to)];
    const atEnd = to >= this.now() - Math.max(2000, 2 * (model?.step ?? 0));
    const live = shown.live === 'off' ? 'off' : atEnd ? 'follow' : 'hold';
    const replace = performance.now() - this.lastPush < ONE_MOVE_MS;
    this.lastPush = performance.now();
    this.navigate({ from, to, ...keys, live, top: this.heldTop() }, { replace });
    this.render();
  }

  /** Points the picture at what is shown. */
  private look(): void {
    this.span = { from: this.shown.from, to: this.shown.to };
    if (!this.picture) return;
    const { from, to, start, end } = this.shown;
    const [y0, y1] = this.model ? rowsOf(this.model, start, end) : [0, 1];
    this.picture.view = { from, to, y0, y1 };
    this.picture.brush = null;
    this.findPin();
  }

  private findPin(): void {
    const { model, shown } = this;
    let pin: Cell | null = null;
    if (model && shown.row) {
      const row = model.rows.findIndex((r) => r.id === shown.row);
      const col = Math.floor((shown.at - model.t0) / model.step);
      if (row >= 0 && col >= 0 && col < model.n) pin = { row, col };
    }
    this.pin = pin;
    if (this.picture) this.picture.pin = pin;
  }

  private afterChange(): void {
    const { model, answered, shown } = this;
    const same = answered !== null && model !== null && answered.question === this.question(shown);
    this.stale = answered !== null && answered.kind !== kindOf(shown);
    if (!same || !covers(answered.plan, shown, model, this.known())) void this.load();
    this.render();
  }

  private question(shown: Shown): string {
    const asOf = shown.asof === 'to' ? shown.live === 'follow' ? 'now' : Math.ceil(shown.to) : shown.asof === 'from' ? Math.floor(shown.from) : shown.asof;
    // Rows as of the end of the view are asked for anew when the view moves, but drawn meanwhile.
    return JSON.stringify([questionOf({ ...shown, asof: '' }), shown.cont, asOf]);
  }

  // --- asking ------------------------------------------------------------------------------------------

  private known(): Known {
    return { now: this.now(), model: this.model, outline: this.outline, fine: this.picture?.retained.fine ?? 0 };
  }

  /** The keys to ask for: those in view and as many rows again on either side. */
  private widened(): { start: string; end: string } {
    const { outline, shown } = this;
    if (!shown.start && !shown.end) return { start: '', end: '' };
    if (!outline) return { start: shown.start, end: shown.end };
    if (!outline.rows.some((row) => row.isGroup)) return { start: '', end: '' };
    const [y0, y1] = rowsOf(outline, shown.start, shown.end);
    const more = Math.max(1, y1 - y0);
    return keysOf(outline, y0 - more, y1 + more);
  }

  async load(): Promise<void> {
    clearTimeout(this.timer);
    this.inflight?.abort();
    const mine = new AbortController();
    this.inflight = mine;
    if (this.shown.live === 'follow' && !this.moving) this.follow();
    const { shown } = this;
    const plan = planFor(shown, this.widened(), this.known());
    const question = this.question(shown);
    this.busy = !(shown.live !== 'off' && question === this.answered?.question);
    const started = performance.now();
    try {
      const [matrix, events] = await Promise.all([
        this.askMatrix(shown, plan, mine.signal),
        fetchEvents({ from_unix_ms: Math.floor(plan.from), to_unix_ms: Math.ceil(plan.to) }, mine.signal)
          .catch((e: unknown) => { if (isAbort(e)) throw e; return null; }),
      ]);
      if (this.inflight !== mine) return;
      this.accept(matrix, plan, question);
      if (events) this.picture?.setEvents(decodeEvents(events));
    } catch (error) {
      if (this.inflight !== mine || isAbort(error)) return;
      this.fail(error instanceof ApiError ? error : new ApiError(-1, 'page', String(error)), question);
    }
    this.inflight = null;
    this.busy = false;
    this.render();
    this.schedule(performance.now() - started);
  }

  private async askMatrix(shown: Shown, plan: Plan, signal: AbortSignal): Promise<Model> {
    const [first, second] = shown.series.split('+');
    const models = await Promise.all([first, second].filter((s) => s !== undefined).map(async (s) => decode(await fetchMatrix(matrixParams(shown, plan, s), signal))));
    if (models.length === 1) return models[0];
    const sum = sumOf(models[0], models[1]);
    if (!sum) throw new ApiError(409, 'grouped_differently', 'The node put different ranges together for the two series, so they cannot be added. Look at fewer keys, or at one series.');
    return sum;
  }

  /** Moves a span that follows the clock. */
  private follow(): void {
    const step = this.model ? Math.min(this.model.step, 60_000) : 1000;
    const to = Math.ceil(this.now() / step) * step;
    this.shown = { ...this.shown, from: to - (this.shown.to - this.shown.from), to };
    history.replaceState(history.state, '', serialise(this.shown));
    this.span = { from: this.shown.from, to: this.shown.to };
  }

  private accept(model: Model, plan: Plan, question: string): void {
    const held = this.cursorPlace();
    const first = this.model === null;
    const drift = model.generatedAt - Date.now();
    if (Math.abs(drift) > 2500) this.skew = drift;
    // The clock of the node is known only now.
    const late = first && this.shown.live === 'follow' && Math.abs(drift) > 5000;
    this.model = model;
    if (!plan.start && !plan.end) this.outline = model;
    this.answered = { plan, question, kind: kindOf(this.shown) };
    this.stale = false;
    this.failure = null;
    this.failures = 0;
    this.refused = false;
    const { picture } = this;
    if (picture) {
      const view = picture.view;
      picture.setModel(model);
      if (this.moving) picture.view = clampRows(view, model.rows.length);
      else this.look();
      picture.cursor = held?.() ?? null;
      this.findPin();
    }
    if (late || (!this.moving && !covers(plan, this.shown, model, this.known()))) queueMicrotask(() => void this.load());
  }

  /** Carries the cursor over to the next answer: same range, same time. */
  private cursorPlace(): (() => Cell | null) | null {
    const { model, picture } = this;
    if (!model || !picture?.cursor) return null;
    const id = model.rows[picture.cursor.row]?.id;
    const ms = model.t0 + picture.cursor.col * model.step;
    return () => {
      const m = this.model as Model;
      const row = m.rows.findIndex((r) => r.id === id);
      const col = Math.floor((ms - m.t0) / m.step);
      return row < 0 || col < 0 || col >= m.n ? null : { row, col };
    };
  }

  private fail(error: ApiError, question: string): void {
    this.failures++;
    this.failure = error;
    if (question !== this.answered?.question || error.needsToken) {
      this.model = null;
      this.answered = null;
      this.picture?.setModel(null);
    }
  }

  private schedule(took: number): void {
    clearTimeout(this.timer);
    if (document.hidden) return;
    const { failure, model, shown } = this;
    if (failure) {
      const again = failure.status === 0 || failure.status >= 500;
      if (again) this.timer = window.setTimeout(() => void this.load(), Math.min(15_000, 1000 * 2 ** Math.min(this.failures, 4)));
    } else if (shown.live !== 'off' && model) {
      this.timer = window.setTimeout(() => void this.load(), Math.max(1000, Math.min(model.step, 60_000), took * 2));
    }
  }

  visibility(): void {
    if (document.hidden) clearTimeout(this.timer);
    else if (this.shown.live !== 'off' || this.failure) void this.load();
  }

  /** Where retention begins, and what is kept beyond; a node that does not tell leaves it unknown. */
  private async askRetention(): Promise<void> {
    try {
      const [gc, pins] = await Promise.all([fetchRetention(), fetchPins()]);
      const cutoff = gc.cutoff_unix_ms as { fine?: number; rollup?: number } | undefined;
      if (this.picture) {
        this.picture.retained = { fine: Number(cutoff?.fine) || 0, all: Number(cutoff?.rollup) || 0 };
        this.picture.pins = decodePins(pins);
      }
      this.render();
    } catch {
      // The picture does without.
    }
  }

  logIn(token: string): void {
    setToken(token);
    this.refused = true;
    this.failure = null;
    void this.load();
    void this.askRetention();
  }

  /** Asks for everything that is kept and moves to where something was recorded. */
  async findHistory(): Promise<void> {
    this.busy = true;
    try {
      const m = decode(await fetchMatrix({ series: this.shown.series.split('+')[0], rows: 64, as_of: 'union' }));
      const kinds = columnKinds(m);
      const [first, last] = [kinds.indexOf(1), kinds.lastIndexOf(1)];
      if (first < 0) {
        this.note = 'Nothing is recorded on this node yet.';
        return;
      }
      const to = m.t0 + (last + 1) * m.step;
      const live = this.now() - to < 120_000;
      this.navigate({ from: m.t0 + first * m.step, to: live ? Math.max(to, this.now()) : to, live: live ? 'follow' : 'off', start: '', end: '', top: 0 });
    } catch (error) {
      if (error instanceof ApiError && error.status >= 400 && error.status < 500) this.last(604_800_000);
      else this.note = error instanceof Error ? error.message : String(error);
    } finally {
      this.busy = false;
    }
  }

  /** The last `span`, following the clock. */
  last(span = DEFAULT_SPAN): void {
    const to = this.now();
    this.navigate({ from: to - span, to, live: 'follow', step: 0, top: 0 });
  }

  // --- drawing -----------------------------------------------------------------------------------------

  render(): void {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    this.frame = 0;
    const { picture } = this;
    if (!picture || !this.size.width) return;
    performance.mark('draw');
    const found = picture.draw(this.size.width, this.size.height, this.theme, this.shown, this.moving);
    performance.measure('keyviz-draw', 'draw');
    if (!this.moving || !found) this.found = found ? { ...found } : null;
    this.drawn++;
    this.onDraw();
  }
}
