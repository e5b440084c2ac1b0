// dom.js: the few helpers that build and find elements.
// Must not parse markup of any kind: text reaches the page as text nodes only.

export const byId = (id) => document.getElementById(id);

/** An element with classes ("tag.class.class"), attributes and children (nodes or text). */
export function el(spec, attrs, ...children) {
  const [tag, ...classes] = spec.split('.');
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(' ');
  for (const [name, value] of Object.entries(attrs ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
}

/** A canvas sized to `width` x `height` CSS pixels at the device's resolution; returns its context. */
export function fitCanvas(canvas, width, height) {
  const dpr = window.devicePixelRatio || 1;
  const w = Math.max(1, Math.round(width * dpr));
  const h = Math.max(1, Math.round(height * dpr));
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const ctx = canvas.getContext('2d');
  ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return ctx;
}

/** The theme's colours as the style sheet has them, for canvases. */
export function themeColours() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(name).trim();
  return {
    bg: get('--bg'), panel: get('--panel'), fg: get('--fg'), dim: get('--dim'), line: get('--line'), faint: get('--faint'),
    accent: get('--accent'), warn: get('--warn'),
    missing: get('--missing'), missingInk: get('--missing-ink'), pendingInk: get('--pending-ink'),
    sans: get('--sans'), mono: get('--mono'),
  };
}

/** Copies text; works without the clipboard API too (plain http on a foreign host has none). */
export async function copyText(text) {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch { /* refused: try the old way */ }
  const box = el('textarea.sr', { readonly: true });
  box.value = text;
  document.body.append(box);
  box.select();
  let ok = false;
  try { ok = document.execCommand('copy'); } catch { ok = false; }
  box.remove();
  return ok;
}
