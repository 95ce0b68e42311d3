import type { Suite } from '@keywright/envelope';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decryptV2,
  decryptV2Bytes,
  decryptV2Text,
  encryptV2,
  encryptV2Bytes,
  encryptV2Text,
} from './interop/independent.ts';
import { keyringOf, SUITES } from './suites.ts';
import { hex, KEYS, testKeyring, thrown } from './support.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const contexts = fc.dictionary(text, text, { maxKeys: 12, size: 'max', noNullPrototype: true });
const texts = fc.string({ unit: 'binary', maxLength: 200 }).map((each) => each.toWellFormed());
const bytes = fc.uint8Array({ maxLength: 300 });
const DECRYPT = 'ERR_ENVELOPE_DECRYPT';
const suites = SUITES.map((suite) => ({ suite, by: `${suite.id} by ${suite.implementation}` }));

/** What happens to bytes on their way. */
const damage = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat({ max: 7 }) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('extend' as const), by: fc.uint8Array({ minLength: 1, maxLength: 20 }) }),
  fc.record({ kind: fc.constant('drop' as const), at: fc.nat() }),
);
type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;

describe.each(suites)('with $by, under any context', ({ suite }) => {
  const keyring = keyringOf(KEYS, suite);

  it('any JSON value comes back, here and in an independent implementation', () => {
    fc.assert(
      fc.property(fc.jsonValue(), contexts, (value, context) => {
        const same = JSON.parse(JSON.stringify(value)) as unknown;
        const envelope = keyring.encrypt(value as never, { context });
        expect(keyring.decrypt(envelope, { context })).toEqual(same);
        expect(decryptV2(KEYS.v1, envelope, context)).toEqual(same);
        const theirs = encryptV2(KEYS.v1, 'v1', context, value as never, suite.id);
        expect(keyring.decrypt(theirs, { context })).toEqual(same);
      }),
      { numRuns: 150 },
    );
  });

  it('any text comes back, here and in an independent implementation', () => {
    fc.assert(
      fc.property(texts, contexts, (value, context) => {
        const token = keyring.encryptText(value, { context });
        expect(keyring.decryptText(token, { context })).toBe(value);
        expect(decryptV2Text(KEYS.v1, token, context)).toBe(value);
        const theirs = encryptV2Text(KEYS.v1, 'v1', context, value, suite.id);
        expect(keyring.decryptText(theirs, { context })).toBe(value);
      }),
      { numRuns: 150 },
    );
  });

  it('any bytes come back, here and in an independent implementation', () => {
    fc.assert(
      fc.property(bytes, contexts, (value, context) => {
        const envelope = keyring.encryptBytes(value, { context });
        expect(hex(keyring.decryptBytes(envelope, { context }))).toBe(hex(value));
        expect(hex(decryptV2Bytes(KEYS.v1, envelope, context))).toBe(hex(value));
        const theirs = encryptV2Bytes(KEYS.v1, 'v1', context, value, suite.id);
        expect(hex(keyring.decryptBytes(theirs, { context }))).toBe(hex(value));
      }),
      { numRuns: 150 },
    );
  });

  it('nothing opens under another', () => {
    fc.assert(
      fc.property(contexts, contexts, (context, other) => {
        fc.pre(canonical(context) !== canonical(other));
        const { object, token, blob } = envelopes(suite, context);
        expect(thrown(() => keyring.decrypt(object, { context: other })).code).toBe(DECRYPT);
        expect(thrown(() => keyring.decryptText(token, { context: other })).code).toBe(DECRYPT);
        expect(thrown(() => keyring.decryptBytes(blob, { context: other })).code).toBe(DECRYPT);
      }),
      { numRuns: 200 },
    );
  });

  it('nothing opens with a byte of iv or ct flipped, dropped, cut off or added', () => {
    const context = { tenant: 'acme' };
    const { object, token, blob } = envelopes(suite, context);
    fc.assert(
      fc.property(damage, fc.boolean(), (how, inIv) => {
        const field = inIv ? 'iv' : 'ct';
        const changed = damaged(Buffer.from(object[field], 'base64'), how).toString('base64');
        expect(thrown(() => keyring.decrypt({ ...object, [field]: changed }, { context })).code).toBe(DECRYPT);

        const parts = token.split('.');
        parts[inIv ? 3 : 4] = damaged(Buffer.from(parts[inIv ? 3 : 4] ?? '', 'base64url'), how).toString('base64url');
        expect(thrown(() => keyring.decryptText(parts.join('.'), { context })).code).toBe(DECRYPT);

        const ivAt = 5 + 'v1'.length;
        const whole = Buffer.concat([blob.subarray(0, ivAt), damaged(blob.subarray(ivAt), how)]);
        expect(thrown(() => keyring.decryptBytes(whole, { context })).code).toBe(DECRYPT);
      }),
      { numRuns: 300 },
    );
  });

  it('no token opens with a character anywhere replaced, dropped or put in', () => {
    const context = { tenant: 'acme' };
    const { token } = envelopes(suite, context);
    const characters = fc.oneof(
      fc.constantFrom('', '.', '=', '+', '/', ' ', '\n', 'A', '\u0141'),
      fc.string({ maxLength: 3 }),
    );
    fc.assert(
      fc.property(fc.nat(), fc.boolean(), characters, (at, instead, put) => {
        const index = at % token.length;
        const changed = token.slice(0, index) + put + token.slice(index + (instead ? 1 : 0));
        fc.pre(changed !== token);
        expect(thrown(() => keyring.decryptText(changed, { context })).code).toMatch(/^ERR_(?:ENVELOPE|KEYRING)_/);
      }),
      { numRuns: 500 },
    );
  });

  function envelopes(of: Suite, context: Readonly<Record<string, string>>) {
    const options = { context };
    return {
      object: keyring.encrypt({ of: of.id }, options),
      token: keyring.encryptText('text', options),
      blob: keyring.encryptBytes(Buffer.from('bytes'), options),
    };
  }
});

describe('anything at all', () => {
  it('is opened or refused with a typed error', () => {
    const keyring = testKeyring();
    const shaped = fc.record(
      {
        __enc: fc.oneof(fc.constantFrom(1, 2, 3), fc.anything()),
        alg: fc.oneof(fc.constantFrom('XC20P', 'XS20P', 'A256GCM'), fc.anything()),
        kid: fc.oneof(fc.constant('v1'), fc.anything()),
      },
      { requiredKeys: [] },
    );
    const tokens = fc.array(fc.constantFrom('kw2', 'kw3', '.', 'A256GCM', 'XC20P', 'v1', 'AAAA'), { maxLength: 12 });
    fc.assert(
      fc.property(fc.oneof(fc.anything(), shaped), tokens, (value, parts) => {
        const typed = /^ERR_(?:ENVELOPE|KEYRING)_/;
        expect(thrown(() => keyring.decrypt(value, { context: {} })).code).toMatch(typed);
        expect(thrown(() => keyring.decryptText(value as never, { context: {} })).code).toMatch(typed);
        expect(thrown(() => keyring.decryptBytes(value as never, { context: {} })).code).toMatch(typed);
        expect(thrown(() => keyring.decryptText(parts.join(''), { context: {} })).code).toMatch(typed);
      }),
      { numRuns: 2000 },
    );
  });
});

/** `original` after it was damaged; always something else. */
function damaged(original: Buffer, how: Damage): Buffer {
  const at = 'at' in how ? how.at % original.length : 0;
  if (how.kind === 'extend') return Buffer.concat([original, how.by]);
  if (how.kind === 'cut') return original.subarray(0, at);
  if (how.kind === 'drop') return Buffer.concat([original.subarray(0, at), original.subarray(at + 1)]);
  const copy = Buffer.from(original);
  copy[at] = (copy[at] as number) ^ (1 << how.bit);
  return copy;
}

function canonical(context: Record<string, string>): string {
  return JSON.stringify(Object.entries(context).sort(([a], [b]) => (a < b ? -1 : 1)));
}
