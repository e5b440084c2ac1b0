// app.js: ties the page together: state and URL, fetching and live refresh, picture, tooltip, drawer.
// Holds the one mutable state; all drawing, formatting and decoding lives in the other modules.

import { byId, el, fill, themeColours, copyText } from './dom.js';
import { fetchMatrix, fetchEvents, setToken } from './api.js';
import { parse, serialise, questionOf, QUERY_KEYS, DEFAULT_SPAN, MIN_SPAN } from './state.js';
import { decode } from './model.js';
import { decodeEvents } from './events.js';
import { Heatmap } from './heatmap.js';
import { Tooltip } from './tooltip.js';
import { Drawer } from './drawer.js';
import { drawLegend } from './legend.js';
import { bindControls, syncControls } from './controls.js';
import { attachPointer } from './pointer.js';
import { cellFacts, columnFacts, eventLines, spoken } from './facts.js';
import { banner, hidePanel, nodesText, showEmpty, showError, showLoading, showLogin } from './panel.js';
import { clock, dateTime, duration, exact, SERIES, span, zoneName } from './format.js';
import { fromHex, hexOf, keyText, middle, toBase64Url, urlBound } from './keys.js';

const nodes = Object.fromEntries(['status', 'headline', 'keychip', 'banner', 'progress', 'legend', 'stage', 'base', 'over', 'panel', 'foot', 'drawer', 'tip', 'speak', 'help'].map((id) => [id, byId(id)]));
const heat = new Heatmap(nodes.base, nodes.over);
const tip = new Tooltip(nodes.tip);
const drawer = new Drawer(nodes.drawer, { close: () => unpin(), zoomKeys: (row) => zoomKeys(row, row), around, moveTo: (ms) => navigate({ at: ms }) });

let skew = 0;
let state = parse(location.search, Date.now());
let zooms = history.state?.zooms ?? [];
let model = null;
let answered = '';
let failure = null;
let failures = 0;
let tokenTried = false;
let inflight = null;
let timer = 0;
let frame = 0;
let theme = themeColours();
let pointing = null;

const now = () => Date.now() + skew;

// --- state and URL ---------------------------------------------------------------------------------------

/** What a zoom changes, and so what zooming out brings back. */
const viewOf = ({ from, to, live, start, end }) => ({ from, to, live, start, end });

/**
 * The one way to change the state. A new question becomes a new entry of the browser's history; how the same
 * answer is drawn replaces the entry. `zoom` remembers the view that is left; it survives a reload.
 */
function navigate(patch, { zoom = false, replace = false } = {}) {
  const next = { ...state, ...patch };
  const url = serialise(next);
  const ask = next.live !== state.live || QUERY_KEYS.some((k) => next[k] !== state[k]);
  if (url === serialise(state)) return;
  if (zoom) zooms = [...zooms.slice(-19), viewOf(state)];
  state = next;
  if (ask && !replace) history.pushState({ zooms }, '', url);
  else history.replaceState({ zooms }, '', url);
  heat.selection = null;
  if (ask) {
    if (model) heat.view = { from: state.from, to: state.to };
    load();
  }
  render();
}

window.addEventListener('popstate', (e) => {
  zooms = e.state?.zooms ?? [];
  state = parse(location.search, now());
  load();
  render();
});

// --- asking the node -------------------------------------------------------------------------------------

const boundParam = (hex) => (hex ? toBase64Url(fromHex(hex)) : '');

function question(s) {
  return {
    series: s.series, from_unix_ms: Math.floor(s.from), to_unix_ms: Math.ceil(s.to), rows: s.rows,
    step_ms: s.step || '', as_of: s.asof, continuity: s.cont, start: boundParam(s.start), end: boundParam(s.end),
  };
}

async function load() {
  clearTimeout(timer);
  inflight?.abort();
  const mine = new AbortController();
  inflight = mine;
  if (state.live) {
    const step = answered === questionOf(state) && model ? Math.min(model.step, 60000) : 1000;
    const length = state.to - state.from;
    const to = Math.ceil(now() / step) * step;
    state = { ...state, from: to - length, to };
    history.replaceState({ zooms }, '', serialise(state));
  }
  const asked = questionOf(state);
  nodes.progress.hidden = asked === answered && state.live;
  if (!model && !failure) showLoading(nodes.panel);
  const started = performance.now();
  try {
    const [matrix, happened] = await Promise.all([
      fetchMatrix(question(state), mine.signal),
      fetchEvents({ from_unix_ms: Math.floor(state.from), to_unix_ms: Math.ceil(state.to) }, mine.signal)
        .catch((e) => { if (e.name === 'AbortError') throw e; return null; }),
    ]);
    if (inflight !== mine) return;
    accept(matrix, happened, asked);
  } catch (error) {
    if (inflight !== mine || error.name === 'AbortError') return;
    fail(error, asked);
  }
  inflight = null;
  nodes.progress.hidden = true;
  schedule(performance.now() - started);
}

function accept(matrix, happened, asked) {
  performance.mark('decode');
  const held = keepCursor();
  model = decode(matrix);
  performance.measure('keyviz-decode', 'decode');
  if (happened) heat.events = decodeEvents(happened);
  const drift = model.generatedAt - Date.now();
  if (Math.abs(drift) > 2500) skew = drift;
  const late = state.live && Math.abs(state.to - now()) > 5000 && failures === 0 && answered === '';
  answered = asked;
  failure = null;
  failures = 0;
  tokenTried = false;
  heat.setModel(model);
  heat.view = model.n ? { from: Math.min(state.from, model.t0), to: Math.max(state.to, model.tEnd) } : { from: state.from, to: state.to };
  heat.cursor = held?.();
  render();
  if (late) queueMicrotask(load);
}

/** Carries the cursor over to the next answer: same range, same time. */
function keepCursor() {
  if (!heat.cursor || !model) return null;
  const id = model.rows[heat.cursor.row].id;
  const ms = model.t0 + heat.cursor.col * model.step;
  return () => locate(id, ms);
}

function locate(id, ms) {
  if (!model || !model.n) return null;
  const row = model.rows.findIndex((r) => r.id === id);
  const col = Math.floor((ms - model.t0) / model.step);
  return row < 0 || col < 0 || col >= model.n ? null : { row, col };
}

function fail(error, asked) {
  failures++;
  failure = error;
  if (asked !== answered || error.status === 401 || error.status === 403) model = null;
  heat.setModel(model);
  render();
}

function schedule(took) {
  clearTimeout(timer);
  if (document.hidden) return;
  if (failure) {
    if (failure.status === 0 || failure.status >= 500) timer = setTimeout(load, Math.min(15000, 1000 * 2 ** Math.min(failures, 4)));
    return;
  }
  if (state.live && model) timer = setTimeout(load, Math.max(1000, Math.min(model.step, 60000), took * 2));
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden) clearTimeout(timer);
  else if (state.live || failure) load();
});

/** Asks for everything that is kept and moves to where something was recorded. */
async function findHistory() {
  nodes.progress.hidden = false;
  try {
    const m = decode(await fetchMatrix({ series: state.series, rows: 64, as_of: 'union' }));
    heat.setModel(m);
    const kinds = heat.kinds;
    const first = kinds.indexOf(1);
    const last = kinds.lastIndexOf(1);
    heat.setModel(model);
    if (first < 0) {
      banner(nodes.banner, 'warn', 'Nothing is recorded on this node yet.');
      return;
    }
    const to = m.columns[last] + m.step;
    const live = now() - to < 120000;
    navigate({ from: m.columns[first], to: live ? Math.max(to, now()) : to, live, start: '', end: '' });
  } catch (error) {
    if (error.status >= 400 && error.status < 500) navigate({ from: now() - 604800000, to: now(), live: true });
    else fail(error, '');
  } finally {
    nodes.progress.hidden = true;
  }
}

// --- drawing ---------------------------------------------------------------------------------------------

function render() {
  if (!frame) frame = requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  syncControls(state, Boolean(model?.max));
  headline();
  panelAndBanner();
  const pin = model && state.row ? locate(state.row, state.at) : null;
  const wasOpen = drawer.open;
  if (!pin) drawer.close();
  else nodes.drawer.hidden = false;
  if (wasOpen !== drawer.open) byId('work').classList.toggle('with-drawer', drawer.open);
  heat.pin = pin;
  heat.opts = { series: state.series, scale: state.scale, value: state.value, palette: state.palette, tz: state.tz };
  const visible = model && model.rows.length && model.n;
  if (!visible) {
    nodes.legend.replaceChildren();
    nodes.foot.textContent = '';
    heat.setModel(null);
    heat.draw(nodes.stage.clientWidth, nodes.stage.clientHeight, theme);
    tip.hide();
    return;
  }
  if (heat.model !== model) heat.setModel(model);
  performance.mark('draw');
  const width = nodes.stage.clientWidth;
  let drawn = heat.draw(width, nodes.stage.clientHeight, theme);
  const legend = () => drawLegend(nodes.legend, { ...drawn, opts: heat.opts, model, theme, anyLost: heat.anyLost, room: nodes.legend.clientWidth });
  const before = nodes.legend.offsetHeight;
  legend();
  if (nodes.legend.offsetHeight !== before) {
    drawn = heat.draw(width, nodes.stage.clientHeight, theme);
    legend();
  }
  performance.measure('keyviz-draw', 'draw');
  foot();
  if (pin) drawer.show(model, pin, heat.view, heat.opts, theme);
  if (pointing) hover(pointing);
  else if (heat.cursor && !nodes.tip.hidden) pointAt(heat.cursor);
}

function headline() {
  const s = state;
  const keys = [s.start, s.end].map((hex) => (hex ? keyText(fromHex(hex)).text : ''));
  const zone = zoneName(s.from, s.tz);
  const sameDay = dateTime(s.from, s.tz).slice(0, 10) === dateTime(s.to, s.tz).slice(0, 10);
  fill(nodes.headline,
    el('b', null, SERIES[s.series].name),
    el('span.num', null, `${dateTime(Math.floor(s.from / 1000) * 1000, s.tz)} – ${sameDay ? clock(Math.floor(s.to / 1000) * 1000, s.tz) : dateTime(Math.floor(s.to / 1000) * 1000, s.tz)} ${zone}`),
    el('span.dim', null, span(s.to - s.from)));
  nodes.keychip.hidden = !(s.start || s.end);
  fill(nodes.keychip, 'keys ', el('bdi', null, `${middle(keys[0], 24) || '−∞'} … ${middle(keys[1], 24) || '+∞'}`), ' ×');
  document.title = `keyviz · ${SERIES[s.series].name} · ${dateTime(Math.floor(s.from / 1000) * 1000, s.tz)} ${zone}`;
}

function panelAndBanner() {
  const chip = (kind, text, why) => {
    if (nodes.status.textContent !== text) nodes.status.textContent = text;
    nodes.status.title = why ?? '';
    nodes.status.dataset.kind = kind;
  };
  const login = failure && (failure.status === 401 || failure.status === 403);
  if (failure) chip('error', login ? 'no access' : 'error', failure.message);
  else if (!model) chip('wait', 'loading');
  else if (model.partial) chip('partial', 'PARTIAL', nodesText(model.nodes));
  else if (state.live) chip('live', 'live', `refreshed every ${duration(Math.max(1000, Math.min(model.step, 60000)))}`);
  else chip('still', 'fixed span', 'absolute times; not refreshed');

  if (login) {
    showLogin(nodes.panel, failure, tokenTried, (t) => { setToken(t); tokenTried = true; failure = null; load(); });
  } else if (failure && !model) {
    showError(nodes.panel, failure, state, { retry: load, back: () => history.back(), reset: () => navigate({ from: now() - DEFAULT_SPAN, to: now(), live: true, start: '', end: '', asof: 'to', step: 0 }) });
  } else if (model && (!model.rows.length || !model.n)) {
    showEmpty(nodes.panel, state, { find: findHistory, allKeys: () => navigate({ start: '', end: '' }), week: () => navigate({ from: now() - 604800000, to: now(), live: true }) });
  } else if (model) hidePanel(nodes.panel);
  nodes.stage.classList.toggle('stale', Boolean(model) && answered !== questionOf(state));

  if (failure && model) banner(nodes.banner, 'error', `${failure.message} The picture is the answer of ${dateTime(Math.floor(model.generatedAt / 1000) * 1000, state.tz)} ${zoneName(model.generatedAt, state.tz)}.`, ['Try again', load]);
  else if (model?.partial) banner(nodes.banner, 'warn', nodesText(model.nodes));
  else if (model?.rows.length && !model.anyRecorded) banner(nodes.banner, 'warn', 'Nothing was recorded in this span.', ['Find recorded history', findHistory]);
  else banner(nodes.banner, null);
}

function foot() {
  const m = model;
  const asof = { to: 'as of the end', from: 'as of the start', union: 'all that lived in the span' }[state.asof] ?? `as of ${dateTime(Number(state.asof), state.tz)} ${zoneName(Number(state.asof), state.tz)}`;
  const text = [
    `${exact(m.rows.length)} rows, ${asof}`,
    `${exact(m.n)} columns of ${duration(m.step)}${m.step > m.recordedStep ? ` (recorded every ${duration(m.recordedStep)})` : ''}`,
    state.cont === 'inherit' ? 'older ranges shown whole' : 'older ranges apportioned',
    `answered ${dateTime(Math.floor(m.generatedAt / 1000) * 1000, state.tz)} ${zoneName(m.generatedAt, state.tz)}`,
  ].join('  ·  ');
  if (nodes.foot.textContent !== text) nodes.foot.textContent = text;
}

// --- looking and zooming ---------------------------------------------------------------------------------

function hover(p) {
  pointing = p;
  const hit = heat.hit(p.x, p.y);
  heat.mark = hit?.kind === 'mark' ? hit.mark : null;
  heat.cursor = hit?.kind === 'cell' ? { row: hit.row, col: hit.col } : null;
  heat.drawOver();
  nodes.over.dataset.over = hit?.kind ?? '';
  if (!hit) tip.hide();
  else if (hit.kind === 'mark') tip.event(eventLines(hit.mark, state.tz), p.pageX, p.pageY);
  else if (hit.kind === 'column') tip.column(columnFacts(model, hit.col, state.series, state.tz, heat.kinds[hit.col]), p.pageX, p.pageY);
  else if (hit.kind === 'row') tip.row(model, model.rows[hit.row], state.tz, p.pageX, p.pageY);
  else tip.cell(cellFacts(model, hit.row, hit.col, state.series, state.tz, hit.cells), model, state.tz, p.pageX, p.pageY);
}

function leave() {
  pointing = null;
  heat.mark = null;
  heat.cursor = null;
  heat.drawOver();
  tip.hide();
}

function pinCell({ row, col }) {
  leave();
  navigate({ row: model.rows[row].id, at: model.t0 + col * model.step });
}

function unpin() {
  if (state.row) navigate({ row: '', at: 0 });
  nodes.over.focus({ preventScroll: true });
}

function select(a, b, shift, done) {
  const { box } = heat;
  const clamp = (v, lo, hi) => Math.max(lo, Math.min(hi, v));
  const xs = [a.x, b.x].map((x) => clamp(x, box.x, box.x + box.w)).sort((p, q) => p - q);
  const ys = [a.y, b.y].map((y) => clamp(y, box.y, box.y + box.h)).sort((p, q) => p - q);
  tip.hide();
  heat.cursor = null;
  if (!done) {
    heat.selection = { x0: xs[0], x1: xs[1], y0: shift ? ys[0] : null, y1: shift ? ys[1] : null };
    heat.drawOver();
    const [t0, t1] = xs.map((x) => heat.timeAt(x));
    nodes.foot.textContent = `${dateTime(Math.round(t0 / 1000) * 1000, state.tz)} – ${dateTime(Math.round(t1 / 1000) * 1000, state.tz)} ${zoneName(t0, state.tz)}  ·  ${span(t1 - t0)}`;
    return;
  }
  heat.selection = null;
  heat.drawOver();
  const patch = {};
  if (xs[1] - xs[0] > 3) {
    const grid = Math.min(model.step, Math.max(1000, model.recordedStep));
    const from = Math.floor(heat.timeAt(xs[0]) / grid) * grid;
    const to = Math.max(from + grid, Math.ceil(heat.timeAt(xs[1]) / grid) * grid);
    const stay = state.live && xs[1] > box.x + box.w - 6;
    Object.assign(patch, { from, to, live: stay, step: 0 });
  }
  if (shift && ys[1] - ys[0] > 3) {
    const n = model.rows.length;
    const r = ys.map((y) => clamp(Math.floor(((y - box.y - 0.001) / box.h) * n), 0, n - 1));
    Object.assign(patch, keyPatch(model.rows[r[0]], model.rows[r[1]]));
  }
  foot();
  if (Object.keys(patch).length) navigate(patch, { zoom: true });
}

function keyPatch(first, last) {
  return { start: hexOf(urlBound(first.start, false)), end: last.openEnd ? '' : hexOf(urlBound(last.end, true)) };
}

const zoomKeys = (first, last) => navigate(keyPatch(first, last), { zoom: true });

function around(ms) {
  navigate({ from: ms - 300000, to: ms + 300000 + model.step, live: false, step: 0 }, { zoom: true });
}

function setSpan(from, to, zoom = false) {
  const length = Math.max(MIN_SPAN * 5, Math.round((to - from) / 1000) * 1000);
  let end = Math.round(to / 1000) * 1000;
  const live = state.live && end >= now() - 2000;
  if (end > now() + 1000) end = Math.ceil(now() / 1000) * 1000;
  navigate({ from: Math.max(0, end - length), to: end, live, step: 0 }, { zoom });
}

function zoomOut() {
  leave();
  const back = zooms[zooms.length - 1];
  if (back) {
    zooms = zooms.slice(0, -1);
    const length = back.to - back.from;
    navigate(back.live ? { ...back, from: now() - length, to: now() } : back);
  } else if (state.start || state.end) navigate({ start: '', end: '' });
  else setSpan(state.from - (state.to - state.from) / 2, state.to + (state.to - state.from) / 2);
}

function zoomIn() {
  const length = (state.to - state.from) / 2;
  const mid = heat.cursor && model ? model.t0 + (heat.cursor.col + 0.5) * model.step : (state.from + state.to) / 2;
  if (length >= MIN_SPAN * 5) setSpan(mid - length / 2, mid + length / 2, true);
}

let speakTimer = 0;

/** Puts the keyboard's cursor on a cell and shows what is there. */
function pointAt({ row, col }) {
  pointing = null;
  heat.cursor = { row, col };
  heat.drawOver();
  const f = cellFacts(model, row, col, state.series, state.tz);
  const r = heat.cellRect(row, col);
  const o = nodes.over.getBoundingClientRect();
  tip.cell(f, model, state.tz, o.left + r.x + r.w, o.top + r.y + r.h);
  return f;
}

function goTo(row, col) {
  const f = pointAt({ row, col });
  clearTimeout(speakTimer);
  speakTimer = setTimeout(() => { nodes.speak.textContent = spoken(f); }, 150);
}

function move(dr, dc) {
  const cols = heat.model && heat.visibleColumns();
  if (!cols) return;
  const at = heat.cursor ?? heat.pin ?? heat.largestCell() ?? { row: 0, col: cols[1] };
  const first = !heat.cursor;
  const clamp = (v, lo, hi) => Math.max(lo, Math.min(hi, v));
  goTo(clamp(first ? at.row : at.row + dr, 0, model.rows.length - 1), clamp(first ? at.col : at.col + dc, cols[0], cols[1]));
}

attachPointer(nodes.over, {
  canSelect: (p) => { const b = heat.box; return Boolean(heat.model && b && p.x >= b.x && p.x < b.x + b.w && p.y >= b.y && p.y < heat.axisBox.y); },
  hover, leave, select, zoomOut, zoomIn, move,
  selectCancel: () => { heat.selection = null; heat.drawOver(); if (heat.model) foot(); },
  click: (p) => { const hit = heat.hit(p.x, p.y); if (hit?.kind === 'cell') pinCell(hit); },
  enter: () => { if (heat.cursor && heat.model) pinCell(heat.cursor); else if (heat.model) move(0, 0); },
  escape: () => { if (drawer.open) unpin(); else if (heat.cursor && !nodes.tip.hidden) leave(); else zoomOut(); },
  help: () => nodes.help.showModal(),
  largest: () => { const c = heat.model && heat.largestCell(); if (c) { nodes.over.focus({ preventScroll: true }); goTo(c.row, c.col); } },
  pan: (f) => setSpan(state.from + f * (state.to - state.from), state.to + f * (state.to - state.from)),
});
nodes.over.addEventListener('blur', () => { if (!nodes.over.matches(':hover')) leave(); });

bindControls({ apply: (patch) => navigate(patch), now, state: () => state });
nodes.keychip.addEventListener('click', () => navigate({ start: '', end: '' }));
byId('help-open').addEventListener('click', () => nodes.help.showModal());
byId('copy-link').addEventListener('click', async (e) => {
  const button = e.currentTarget;
  const ok = await copyText(location.origin + location.pathname + serialise({ ...state, live: false }));
  button.textContent = ok ? 'Copied' : 'Not copied';
  setTimeout(() => { button.textContent = 'Copy link'; }, 1500);
});
const repaint = () => { theme = themeColours(); render(); };
matchMedia('(prefers-color-scheme: light)').addEventListener('change', repaint);
new ResizeObserver(() => render()).observe(nodes.stage);
matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener('change', repaint);

history.replaceState({ zooms }, '', serialise(state));
load();
render();
