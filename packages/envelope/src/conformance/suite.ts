import { describe, expect, it } from 'vitest';
import { SUITES, type Suite, type SuiteKey, TAG_BYTES } from '../suites/suite.ts';

const LENGTHS = [0, 1, 15, 16, 17, 63, 64, 65, 1000];
const TEXTS = ['', 'text', 'ünïcødé 🔑', '\u0000\u2028', '{"a":1}'];

export interface SuiteConformanceOptions {
  /**
   * Another implementation of the same suite. Both have to make the same ciphertext and to open each other's.
   * @default the suite is looked at alone
   */
  readonly reference?: () => Suite | Promise<Suite>;
}

/**
 * Registers the tests that every implementation of a suite has to pass, in a vitest file.
 *
 * @param makeSuite called once
 *
 * @example
 * ```ts
 * import { suiteConformance } from '@keywright/envelope/conformance';
 * import { loadLibsodium } from '@keywright/envelope/libsodium';
 * import { xchacha20Poly1305 } from '@keywright/envelope/xchacha20-poly1305';
 *
 * suiteConformance('XChaCha20-Poly1305 by libsodium', async () => (await loadLibsodium()).xchacha20Poly1305, {
 *   reference: () => xchacha20Poly1305,
 * });
 * ```
 */
export function suiteConformance(
  name: string,
  makeSuite: () => Suite | Promise<Suite>,
  options: SuiteConformanceOptions = {},
): void {
  describe(`suite ${name}`, async () => {
    const suite = await makeSuite();
    const layout = SUITES[suite.id];
    const key = suite.importKey(pattern(32, 1));
    const nonce = pattern(layout.nonceLength, 2);
    const ad = pattern(40, 3);

    it('has a layout, and says what computes it', () => {
      expect(layout.nonceLength).toBeGreaterThanOrEqual(12);
      expect(suite.implementation).toMatch(/\S/);
    });

    it.each(LENGTHS)('opens the %i bytes that it sealed; the ciphertext is as long, the tag has 16', (length) => {
      const plaintext = pattern(length, 4);
      const { ciphertext, tag } = key.seal(nonce, ad, plaintext);
      expect([ciphertext.length, tag.length]).toEqual([length, TAG_BYTES]);
      if (length > 15) expect(same(ciphertext, plaintext)).toBe(false);
      expectBytes(key.open(nonce, ad, ciphertext, tag), plaintext);
    });

    it('opens a mebibyte', () => {
      const plaintext = pattern(2 ** 20, 5);
      const { ciphertext, tag } = key.seal(nonce, ad, plaintext);
      expectBytes(key.open(nonce, ad, ciphertext, tag), plaintext);
      expect(key.open(nonce, ad, flipped(ciphertext, 2 ** 20 - 1), tag)).toBeUndefined();
    });

    it.each(TEXTS)('seals the text %j as its UTF-8', (text) => {
      const bytes = new TextEncoder().encode(text);
      expectSealed(key.seal(nonce, ad, text), key.seal(nonce, ad, bytes));
    });

    it('leaves what it is given as it was', () => {
      const [ownNonce, ownAd, plaintext] = [pattern(layout.nonceLength, 2), pattern(40, 3), pattern(20, 4)];
      const { ciphertext, tag } = key.seal(ownNonce, ownAd, plaintext);
      const copies = [ciphertext, tag].map((bytes) => Uint8Array.from(bytes)) as [Uint8Array, Uint8Array];
      key.open(ownNonce, ownAd, ciphertext, tag);
      expect(key.open(ownNonce, ownAd, ciphertext, flipped(tag, 0))).toBeUndefined();
      expectBytes(ownNonce, nonce);
      expectBytes(ownAd, ad);
      expectBytes(plaintext, pattern(20, 4));
      expectSealed({ ciphertext, tag }, { ciphertext: copies[0], tag: copies[1] });
    });

    it('gives the plaintext in memory of its own, which the caller may wipe', () => {
      const { ciphertext, tag } = key.seal(nonce, ad, pattern(20, 4));
      const first = key.open(nonce, ad, ciphertext, tag) as Uint8Array;
      const second = key.open(nonce, ad, ciphertext, tag) as Uint8Array;
      first.fill(0);
      expectBytes(second, pattern(20, 4));
      expectBytes(key.open(nonce, ad, ciphertext, tag), pattern(20, 4));
    });

    it('copies the key: the caller wipes its own', () => {
      const bytes = pattern(32, 1);
      const imported = suite.importKey(bytes);
      bytes.fill(0);
      expectSealed(imported.seal(nonce, ad, 'text'), key.seal(nonce, ad, 'text'));
      expectBytes(bytes, new Uint8Array(32));
    });

    it('refuses every changed byte of ciphertext, tag and nonce, without an error', () => {
      const { ciphertext, tag } = key.seal(nonce, ad, pattern(33, 4));
      for (let at = 0; at < ciphertext.length; at++) {
        expect(key.open(nonce, ad, flipped(ciphertext, at), tag)).toBeUndefined();
      }
      for (let at = 0; at < TAG_BYTES; at++) expect(key.open(nonce, ad, ciphertext, flipped(tag, at))).toBeUndefined();
      for (let at = 0; at < nonce.length; at++) {
        expect(key.open(flipped(nonce, at), ad, ciphertext, tag)).toBeUndefined();
      }
    });

    it('refuses a ciphertext that is cut or extended', () => {
      const { ciphertext, tag } = key.seal(nonce, ad, pattern(33, 4));
      for (const length of [0, 1, 16, 32]) {
        expect(key.open(nonce, ad, ciphertext.slice(0, length), tag)).toBeUndefined();
      }
      expect(key.open(nonce, ad, extended(ciphertext), tag)).toBeUndefined();
    });

    it('refuses another key', () => {
      const { ciphertext, tag } = key.seal(nonce, ad, 'text');
      expect(suite.importKey(pattern(32, 9)).open(nonce, ad, ciphertext, tag)).toBeUndefined();
    });

    it('refuses a tag that is cut or extended, also where its missing byte is zero', () => {
      const { ciphertext, tag } = sealedWithZeroAtTheEnd(key, nonce, ad);
      expect(key.open(nonce, ad, ciphertext, tag)).toBeDefined();
      for (let length = 0; length < TAG_BYTES; length++) {
        expect(key.open(nonce, ad, ciphertext, tag.slice(0, length))).toBeUndefined();
      }
      expect(key.open(nonce, ad, ciphertext, extended(tag))).toBeUndefined();
    });

    it('takes nonces of its own length only', () => {
      const { ciphertext, tag } = key.seal(nonce, ad, 'text');
      for (const length of [0, 8, 11, 12, 13, 16, 23, 24, 25].filter((each) => each !== layout.nonceLength)) {
        expect(() => key.seal(pattern(length, 2), ad, 'text')).toThrow();
        expect(key.open(pattern(length, 2), ad, ciphertext, tag)).toBeUndefined();
      }
    });

    if (layout.contextIn === 'associated-data') {
      it('refuses other associated data', () => {
        const { ciphertext, tag } = key.seal(nonce, ad, 'text');
        for (let at = 0; at < ad.length; at++) {
          expect(key.open(nonce, flipped(ad, at), ciphertext, tag)).toBeUndefined();
        }
        for (const other of [new Uint8Array(0), ad.slice(0, -1), extended(ad)]) {
          expect(key.open(nonce, other, ciphertext, tag)).toBeUndefined();
        }
      });
    } else {
      it('does not look at associated data: the format puts them into the key', () => {
        expectSealed(key.seal(nonce, ad, 'text'), key.seal(nonce, new Uint8Array(0), 'text'));
      });
    }

    const { reference } = options;
    if (reference === undefined) return;
    const other = await reference();

    it('makes and opens what another implementation does', () => {
      expect(other.id).toBe(suite.id);
      const otherKey = other.importKey(pattern(32, 1));
      for (const plaintext of [...LENGTHS.map((length) => pattern(length, 4)), ...TEXTS]) {
        const sealed = key.seal(nonce, ad, plaintext);
        const expected = otherKey.seal(nonce, ad, plaintext);
        expectSealed(sealed, expected);
        const bytes = typeof plaintext === 'string' ? new TextEncoder().encode(plaintext) : plaintext;
        expectBytes(otherKey.open(nonce, ad, sealed.ciphertext, sealed.tag), bytes);
        expectBytes(key.open(nonce, ad, expected.ciphertext, expected.tag), bytes);
      }
    });
  });
}

/** Bytes that differ from place to place and from seed to seed. */
function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 167 + (index >> 8) * 29 + seed * 71) & 0xff);
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] as number) ^ 0x40;
  return copy;
}

function extended(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([...bytes, 0]);
}

/** A message whose tag ends with a zero byte, so that a decoder that pads shows itself. */
function sealedWithZeroAtTheEnd(key: SuiteKey, nonce: Uint8Array, ad: Uint8Array): ReturnType<SuiteKey['seal']> {
  for (let seed = 0; seed < 10_000; seed++) {
    const sealed = key.seal(nonce, ad, String(seed));
    if (sealed.tag.at(-1) === 0) return sealed;
  }
  throw new Error('No tag of 10,000 ends with a zero byte: these are no tags.');
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function expectBytes(actual: Uint8Array | undefined, expected: Uint8Array): void {
  expect(actual).toBeInstanceOf(Uint8Array);
  expect(actual !== undefined && same(actual, expected)).toBe(true);
}

function expectSealed(
  actual: { readonly ciphertext: Uint8Array; readonly tag: Uint8Array },
  expected: { readonly ciphertext: Uint8Array; readonly tag: Uint8Array },
): void {
  expectBytes(actual.ciphertext, expected.ciphertext);
  expectBytes(actual.tag, expected.tag);
}
