import { describe, expect, it } from 'vitest';
import { afterPrefix, bytesOf, cleanLabel, compareBytes, fromHex, hexOf, keyText, middle, parseKey, toBase64Url, urlBound } from './keys';

const utf8 = (s: string): Uint8Array => new TextEncoder().encode(s);

describe('keys as text', () => {
  it('shows text as text and everything else as what it is', () => {
    expect(keyText(utf8('order:42'))).toBe('order:42');
    expect(keyText(utf8('schlüssel'))).toBe('schlüssel');
    expect(keyText(utf8('a\\b'))).toBe('a\\\\b');
    expect(keyText(Uint8Array.of(0x61, 0x62, 0x63, 0xff))).toBe('abc\\xff');
    expect(keyText(Uint8Array.of(0, 1, 2, 0xff))).toBe('0x000102ff');
    expect(keyText(Uint8Array.of())).toBe('');
  });

  it('lets nothing invisible, bidirectional or controlling through', () => {
    for (const hostile of ['abcdef\u202egpj', 'abcdef\u200b', 'abcdef\x1b[31m', 'abcdef\u0000', 'abcdef\u00ad', 'abcdef\ufeff', 'abcdef\u2028', 'abcdef\u00a0']) {
      expect(keyText(utf8(hostile))).toMatch(/^[\x20-\x7e]*$/);
      expect(cleanLabel(hostile)).not.toMatch(/[\u202e\u200b\x1b\u0000\u00ad\ufeff\u2028\u00a0]/);
    }
    expect(keyText(utf8(`abcdefgh${'\u0301'.repeat(4)}`))).toContain('\\xcc\\x81');
  });

  it('cuts long keys in the middle', () => {
    const long = keyText(utf8(`start${'x'.repeat(5000)}end`));
    expect(long.length).toBeLessThan(260);
    expect(long).toMatch(/^start.*…x*end$/);
    expect(middle('abcdefghij', 5)).toBe('abc…j');
  });
});

describe('keys as bytes', () => {
  it('goes there and back', () => {
    for (const bytes of [[], [0], [255, 255], [1, 2, 3, 250]].map((b) => Uint8Array.from(b))) {
      expect(fromHex(hexOf(bytes))).toEqual(bytes);
      expect(bytesOf(toBase64Url(bytes))).toEqual(bytes);
    }
    expect(fromHex('abc')).toBeNull();
    expect(bytesOf('%%%')).toBeNull();
    expect(bytesOf(null)).toBeNull();
  });

  it('widens bounds that are too long for a URL, never narrows them', () => {
    const long = utf8('k'.repeat(300));
    expect(compareBytes(urlBound(long, false), long)).toBeLessThan(0);
    expect(compareBytes(urlBound(long, true), long)).toBeGreaterThan(0);
    expect(afterPrefix(Uint8Array.of(1, 0xff, 0xff))).toEqual(Uint8Array.of(2));
    expect(afterPrefix(Uint8Array.of(0xff))).toEqual(Uint8Array.of());
  });

  it('understands what people type', () => {
    expect(parseKey('order:1')).toEqual({ key: utf8('order:1'), isPrefix: false });
    expect(parseKey('order:*')).toEqual({ key: utf8('order:'), isPrefix: true });
    expect(parseKey('a\\*')).toEqual({ key: utf8('a*'), isPrefix: false });
    expect(parseKey('0x00ff')).toEqual({ key: Uint8Array.of(0, 255), isPrefix: false });
    expect(parseKey('0x00 ff*')).toEqual({ key: Uint8Array.of(0, 255), isPrefix: true });
    expect(parseKey('ü\\xff\\\\')).toEqual({ key: Uint8Array.of(0xc3, 0xbc, 0xff, 0x5c), isPrefix: false });
    expect(parseKey('0x0')).toBeNull();
    expect(parseKey('a\\q')).toBeNull();
  });
});
