// keys.js: raw key bytes as text that is safe and honest to show.
// Keys are hostile input: nothing here may yield control, format or invisible characters, and nothing
// may be read as markup (callers put the result into text nodes or onto a canvas only).

/** Base64 (standard or URL alphabet) to bytes; null (open) and damage both give null. */
export function bytesOf(base64) {
  if (base64 === null || base64 === undefined) return null;
  try {
    const bin = atob(String(base64).replace(/-/g, '+').replace(/_/g, '/'));
    const out = new Uint8Array(bin.length);
    for (let i = 0; i < bin.length; i++) out[i] = bin.charCodeAt(i);
    return out;
  } catch {
    return null;
  }
}

export function toBase64Url(bytes) {
  let bin = '';
  for (let i = 0; i < bytes.length; i++) bin += String.fromCharCode(bytes[i]);
  return btoa(bin).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

export function hexOf(bytes) {
  const out = new Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) out[i] = HEX[bytes[i]];
  return out.join('');
}

export function fromHex(hex) {
  if (!/^(?:[0-9a-f]{2})*$/i.test(hex)) return null;
  const out = new Uint8Array(hex.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return out;
}

// Control, format (bidi, zero width), private, unassigned, surrogates; separators other than the space.
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}|\p{Default_Ignorable_Code_Point}/u;
const MARK = /\p{M}/u;

function sequenceLength(lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  if (lead >= 0xf0 && lead < 0xf5) return 4;
  return 0;
}

const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Clean UTF-8 stays text, every other byte becomes \xNN; also counts how many bytes were clean. */
function escapeBytes(bytes) {
  let text = '';
  let clean = 0;
  let marks = 0;
  for (let i = 0; i < bytes.length;) {
    const n = sequenceLength(bytes[i]);
    let ch = null;
    if (n === 1) ch = String.fromCharCode(bytes[i]);
    else if (n > 1 && i + n <= bytes.length) {
      try { ch = STRICT.decode(bytes.subarray(i, i + n)); } catch { ch = null; }
    }
    marks = ch !== null && MARK.test(ch) ? marks + 1 : 0;
    if (ch === null || HIDDEN.test(ch) || marks > 2 || (marks > 0 && text === '')) {
      const len = ch === null ? 1 : n;
      for (let k = 0; k < len; k++) text += `\\x${HEX[bytes[i + k]]}`;
      i += len;
    } else {
      text += ch === '\\' ? '\\\\' : ch;
      clean += n;
      i += n;
    }
  }
  return { text, clean };
}

const HEAD = 160;
const TAIL = 48;

/**
 * A key as one line: printable text with \xNN for what is not, or 0x… when most of it is not text.
 * Long keys keep their head and tail; `cut` says that bytes were left out.
 */
export function keyText(bytes) {
  const cut = bytes.length > HEAD + TAIL + 16;
  const head = escapeBytes(cut ? bytes.subarray(0, HEAD) : bytes);
  const tail = cut ? escapeBytes(bytes.subarray(bytes.length - TAIL)) : null;
  const seen = cut ? HEAD + TAIL : bytes.length;
  const clean = head.clean + (tail ? tail.clean : 0);
  if (seen > 0 && clean * 2 <= seen) {
    const hex = cut ? `${hexOf(bytes.subarray(0, 32))}…${hexOf(bytes.subarray(bytes.length - 12))}` : hexOf(bytes);
    return { text: `0x${hex}`, hex: true, cut };
  }
  return { text: tail ? `${head.text}…${tail.text}` : head.text, hex: false, cut };
}

/** Hex with a space every four bytes, cut in the middle when long. */
export function hexText(bytes, max = 64) {
  const group = (b) => (hexOf(b).match(/.{1,8}/g) ?? []).join(' ');
  if (bytes.length <= max) return group(bytes);
  const part = max / 2;
  return `${group(bytes.subarray(0, part))} … ${group(bytes.subarray(bytes.length - part))}`;
}

/** A server-made label, with everything invisible taken out of it. */
export function cleanLabel(text) {
  let out = '';
  for (const ch of String(text).slice(0, 400)) out += HIDDEN.test(ch) ? '\uFFFD' : ch;
  return out;
}

/** Cut in the middle so that both the common prefix and what differs stay readable. */
export function middle(text, max) {
  const chars = [...text];
  if (chars.length <= max) return text;
  const head = Math.ceil((max - 1) * 0.55);
  return `${chars.slice(0, head).join('')}…${chars.slice(chars.length - (max - 1 - head)).join('')}`;
}

/** Bounds short enough for a URL: a long start is cut down, a long end is raised, so the range only widens. */
export function urlBound(bytes, isEnd, max = 256) {
  if (bytes.length <= max) return bytes;
  const cut = bytes.slice(0, max);
  if (!isEnd) return cut;
  let n = max;
  while (n > 0 && cut[n - 1] === 0xff) n--;
  if (n === 0) return new Uint8Array(0);
  const up = cut.slice(0, n);
  up[n - 1]++;
  return up;
}
