// colour.js: values to colours. The palettes, the log and linear scales, packing for ImageData.
// Pure; must not know rows, states or the document.

const clamp8 = (x) => Math.max(0, Math.min(255, Math.round(x)));

const VIRIDIS = [
  [0.2777273272234177, 0.1050930431085774, -0.3308618287255563, -4.634230498983486, 6.228269936347081, 4.776384997670288, -5.435455855934631],
  [0.005407344544966578, 1.404613529898575, 0.214847559468213, -5.799100973351585, 14.17993336680509, -13.74514537774601, 4.645852612178535],
  [0.3340998053353061, 1.384590162594685, 0.09509516302823659, -19.33244095627987, 56.69055260068105, -65.35303263337234, 26.3124352495832],
];

function viridis(t) {
  return VIRIDIS.map((c) => {
    let v = 0;
    for (let i = c.length - 1; i >= 0; i--) v = v * t + c[i];
    return clamp8(255 * v);
  });
}

function cividis(t) {
  return [
    clamp8(-4.54 - t * (35.34 - t * (2381.73 - t * (6402.7 - t * (7024.72 - t * 2710.57))))),
    clamp8(32.49 + t * (170.73 + t * (52.82 - t * (131.46 - t * (176.58 - t * 67.37))))),
    clamp8(81.24 + t * (442.36 - t * (2482.43 - t * (6167.24 - t * (6614.94 - t * 2475.67))))),
  ];
}

/** 256 colours [r, g, b]; entry 0 is "no traffic", darker than the least traffic. */
function table(fn) {
  const out = [fn(0).map((x) => clamp8(x * 0.5))];
  for (let i = 1; i < 256; i++) out.push(fn(i / 255));
  return out;
}

const TABLES = { viridis: table(viridis), cividis: table(cividis) };

export const tableOf = (name) => TABLES[name] ?? TABLES.viridis;
export const css = ([r, g, b]) => `rgb(${r},${g},${b})`;

/** Little-endian RGBA, as a Uint32 view of ImageData wants it. */
export const pack = ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

/** The colour of a pattern's marks on a given ground: light on dark, dark on light, never another hue. */
export function inkOn([r, g, b]) {
  const light = (0.299 * r + 0.587 * g + 0.114 * b) / 255;
  const target = light < 0.55 ? 255 : 0;
  const a = light < 0.55 ? 0.62 : 0.66;
  return [r, g, b].map((x) => clamp8(x * (1 - a) + target * a));
}

/** "#rgb", "#rrggbb" or "rgb(...)" from the style sheet as [r, g, b]. */
export function parseColour(text) {
  const hex = /^#([0-9a-f]{3,6})$/i.exec(text);
  if (hex) {
    const h = hex[1].length === 3 ? [...hex[1]].map((c) => c + c).join('') : hex[1].padEnd(6, '0');
    return [0, 2, 4].map((i) => parseInt(h.slice(i, i + 2), 16));
  }
  return (text.match(/[\d.]+/g) ?? ['0', '0', '0']).slice(0, 3).map(Number);
}

/** Where the least traffic (1) sits on the bar, so that it is told apart from none. */
const FLOOR = 0.05;

/**
 * The scale to a view's maximum. `level(v)` is the table's entry: 0 only for no traffic;
 * `fraction(v)` is the place on the legend's bar (0..1) for v >= 1.
 */
export function makeScale(max, mode) {
  const top = Math.max(1, max);
  const logTop = Math.log(top);
  const fraction = mode === 'linear'
    ? (v) => Math.min(1, v / top)
    : (v) => (v <= 1 ? (top <= 1 ? 1 : 0) : logTop === 0 ? 1 : Math.min(1, Math.log(v) / logTop));
  const entry = (f) => 1 + Math.round(254 * (FLOOR + (1 - FLOOR) * f));
  return {
    max, mode, fraction, entry,
    level: (v) => (v > 0 ? entry(fraction(v)) : 0),
  };
}

/** Values worth a number on the legend, from the least to the maximum. */
export function scaleMarks(scale, room, bytes = false) {
  const { max, mode } = scale;
  if (!(max > 0)) return [];
  if (max <= 1) return [1];
  const marks = [];
  if (mode === 'linear') {
    const n = Math.max(1, Math.min(5, Math.floor(room / 56)));
    const raw = max / n;
    const base = bytes && raw >= 1024 ? 1024 ** Math.floor(Math.log2(raw) / 10) : 1;
    const mag = base * 10 ** Math.floor(Math.log10(raw / base));
    const unit = [1, 2, 2.5, 5, 10].map((k) => k * mag).find((k) => k >= raw) ?? raw;
    for (let v = 0; v < max; v += unit) marks.push(v);
  } else {
    const base = bytes ? 32 : 10;
    const decades = Math.log(max) / Math.log(base);
    const each = Math.max(1, Math.ceil(decades / Math.max(1, Math.floor(room / (bytes ? 56 : 44)))));
    for (let d = 0; d <= decades + 1e-9; d += each) marks.push(Math.round(base ** d));
    if (decades < 2) for (const v of [2, 5, 20, 50]) if (v < max) marks.push(v);
  }
  const gap = (bytes ? 54 : 40) / room;
  const kept = [];
  for (const v of marks.sort((a, b) => a - b)) {
    const f = scale.fraction(v);
    if (f > 1 - gap) break;
    if (!kept.length || f - scale.fraction(kept[kept.length - 1]) >= gap) kept.push(v);
  }
  return [...kept, max];
}
