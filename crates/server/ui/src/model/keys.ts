// Raw key bytes as text that is safe and honest to show, and text typed by people as key bytes.
// Keys are hostile input: nothing here may yield control, format or invisible characters, and nothing may be
// read as markup (callers put the result into text nodes or onto a canvas only).

/** Base64 (standard or URL alphabet) to bytes; null (open) and damage both give null. */
export function bytesOf(base64: unknown): Uint8Array | null {
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

export function toBase64Url(bytes: Uint8Array): string {
  let bin = '';
  for (const byte of bytes) bin += String.fromCharCode(byte);
  return btoa(bin).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

export function hexOf(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += HEX[byte];
  return out;
}

/** Null when it is not hexadecimal. */
export function fromHex(hex: string): Uint8Array | null {
  if (!/^(?:[0-9a-f]{2})*$/i.test(hex)) return null;
  const out = new Uint8Array(hex.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return out;
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

// Control, format (bidi, zero width), private, unassigned, surrogates; separators other than the space.
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}|\p{Default_Ignorable_Code_Point}/u;
const MARK = /\p{M}/u;

function sequenceLength(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  if (lead >= 0xf0 && lead < 0xf5) return 4;
  return 0;
}

const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function characterAt(bytes: Uint8Array, at: number, length: number): string | null {
  if (length === 1) return String.fromCharCode(bytes[at]!);
  if (length === 0 || at + length > bytes.length) return null;
  try {
    return STRICT.decode(bytes.subarray(at, at + length));
  } catch {
    return null;
  }
}

/** Clean UTF-8 stays text, every other byte becomes \xNN; also counts how many bytes were clean. */
function escapeBytes(bytes: Uint8Array): { text: string; clean: number } {
  let text = '';
  let clean = 0;
  let marks = 0;
  for (let i = 0; i < bytes.length; ) {
    const n = sequenceLength(bytes[i]!);
    const ch = characterAt(bytes, i, n);
    marks = ch !== null && MARK.test(ch) ? marks + 1 : 0;
    if (ch === null || HIDDEN.test(ch) || marks > 2 || (marks > 0 && text === '')) {
      const len = ch === null ? 1 : n;
      for (let k = 0; k < len; k++) text += `\\x${HEX[bytes[i + k]!]}`;
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
 * Long keys keep their head and tail.
 */
export function keyText(bytes: Uint8Array): string {
  const cut = bytes.length > HEAD + TAIL + 16;
  const head = escapeBytes(cut ? bytes.subarray(0, HEAD) : bytes);
  const tail = cut ? escapeBytes(bytes.subarray(bytes.length - TAIL)) : null;
  const seen = cut ? HEAD + TAIL : bytes.length;
  const clean = head.clean + (tail ? tail.clean : 0);
  if (seen > 0 && clean * 2 <= seen) {
    const hex = cut ? `${hexOf(bytes.subarray(0, 32))}…${hexOf(bytes.subarray(bytes.length - 12))}` : hexOf(bytes);
    return `0x${hex}`;
  }
  return tail ? `${head.text}…${tail.text}` : head.text;
}

/** Hex with a space every four bytes, cut in the middle when long. */
export function hexText(bytes: Uint8Array, max = 64): string {
  const group = (b: Uint8Array): string => (hexOf(b).match(/.{1,8}/g) ?? []).join(' ');
  if (bytes.length <= max) return group(bytes);
  const part = max / 2;
  return `${group(bytes.subarray(0, part))} … ${group(bytes.subarray(bytes.length - part))}`;
}

/** A text from the node, with everything invisible taken out of it. */
export function cleanLabel(text: unknown): string {
  let out = '';
  for (const ch of String(text).slice(0, 400)) out += HIDDEN.test(ch) ? '\uFFFD' : ch;
  return out;
}

/** Cut in the middle so that both the common prefix and what differs stay readable. */
export function middle(text: string, max: number): string {
  const chars = [...text];
  if (chars.length <= max) return text;
  const head = Math.ceil((max - 1) * 0.55);
  return `${chars.slice(0, head).join('')}…${chars.slice(chars.length - (max - 1 - head)).join('')}`;
}

/** The smallest key above everything that begins with `prefix`; empty when there is none. */
export function afterPrefix(prefix: Uint8Array): Uint8Array {
  let n = prefix.length;
  while (n > 0 && prefix[n - 1] === 0xff) n--;
  const up = prefix.slice(0, n);
  if (n > 0) up[n - 1]!++;
  return up;
}

/** Bounds short enough for a URL: a long start is cut down, a long end is raised, so the range only widens. */
export function urlBound(bytes: Uint8Array, isEnd: boolean, max = 256): Uint8Array {
  if (bytes.length <= max) return bytes;
  const cut = bytes.slice(0, max);
  return isEnd ? afterPrefix(cut) : cut;
}

/** What a person typed as a key: `0x…` is hexadecimal, a trailing `*` means "begins with", `\xNN` and `\\` escape. */
export function parseKey(text: string): { key: Uint8Array; isPrefix: boolean } | null {
  const isPrefix = text.endsWith('*') && !text.endsWith('\\*');
  const body = isPrefix ? text.slice(0, -1) : text;
  if (/^0x/i.test(body)) {
    const key = fromHex(body.slice(2).replace(/[ _]/g, ''));
    return key && { key, isPrefix };
  }
  const parts: number[] = [];
  const utf8 = new TextEncoder();
  for (const [piece] of body.matchAll(/\\x[0-9a-f]{2}|\\[\\*]|[^\\]|\\/giu)) {
    if (/^\\x/i.test(piece)) parts.push(parseInt(piece.slice(2), 16));
    else if (piece === '\\') return null;
    else parts.push(...utf8.encode(piece.startsWith('\\') ? piece.slice(1) : piece));
  }
  return { key: Uint8Array.from(parts), isPrefix };
}
