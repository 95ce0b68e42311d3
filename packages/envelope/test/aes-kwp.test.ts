import { randomBytes } from 'node:crypto';
import { aesKwpUnwrap, aesKwpWrap } from '@keywright/envelope/aes-kwp';
import { describe, expect, it } from 'vitest';
import { hex } from './support.ts';
import { readGroups, unhex, wycheproof } from './wycheproof.ts';

describe.skipIf(wycheproof === undefined)('Wycheproof (needs its vectors)', () => {
  it('passes aes_kwp: valid keys are wrapped and unwrapped, all others refused', () => {
    const tally = { valid: 0, refused: 0 };
    for (const { tests } of readGroups('aes_kwp')) {
      for (const { tcId, comment, key, msg, ct, result } of tests) {
        const what = `${tcId} ${comment}`;
        if (result === 'valid') {
          expect(hex(aesKwpWrap(unhex(key), unhex(msg))), what).toBe(ct);
          expect(hex(aesKwpUnwrap(unhex(key), unhex(ct))), what).toBe(msg);
          tally.valid++;
        } else {
          expect(() => aesKwpUnwrap(unhex(key), unhex(ct)), what).toThrow(
            expect.objectContaining({ code: 'ERR_ENVELOPE_DECRYPT' }),
          );
          tally.refused++;
        }
      }
    }
    expect(tally).toEqual({ valid: 77, refused: 177 });
  });
});

it('wraps the keys of RFC 5649, 6', () => {
  const wrappingKey = unhex('5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8');
  expect(hex(aesKwpWrap(wrappingKey, unhex('c37b7e6492584340bed12207808941155068f738')))).toBe(
    '138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a',
  );
  expect(hex(aesKwpWrap(wrappingKey, unhex('466f7250617369')))).toBe('afbeb0f07dfbf5419200f2ccb50bb24f');
});

it('unwraps keys of every length, and nothing that differs by a bit', () => {
  const wrappingKey = randomBytes(32);
  for (let length = 1; length <= 40; length++) {
    const key = randomBytes(length);
    const wrapped = aesKwpWrap(wrappingKey, key);
    expect(wrapped.byteLength).toBe(8 + 8 * Math.ceil(length / 8));
    expect(hex(aesKwpUnwrap(wrappingKey, wrapped))).toBe(hex(key));
    wrapped[length % wrapped.length] = (wrapped[length % wrapped.length] ?? 0) ^ 1;
    expect(() => aesKwpUnwrap(wrappingKey, wrapped)).toThrow(expect.objectContaining({ code: 'ERR_ENVELOPE_DECRYPT' }));
  }
});

it('refuses arguments that are no keys, without showing them', () => {
  const key = randomBytes(32);
  const invalid = expect.objectContaining({ code: 'ERR_KEYRING_INVALID_ARGUMENT' });
  for (const wrong of [randomBytes(31), randomBytes(0), 'a text', undefined, null, [1]]) {
    expect(() => aesKwpWrap(wrong as never, key)).toThrow(invalid);
    expect(() => aesKwpUnwrap(wrong as never, key)).toThrow(invalid);
  }
  for (const wrong of [randomBytes(0), randomBytes(65_537), 'a text', undefined, null, [1]]) {
    expect(() => aesKwpWrap(key, wrong as never)).toThrow(invalid);
  }
  for (const wrapped of [0, 8, 15, 17, 70_000]) {
    expect(() => aesKwpUnwrap(key, randomBytes(wrapped))).toThrow(
      expect.objectContaining({ code: 'ERR_ENVELOPE_DECRYPT' }),
    );
  }
});
