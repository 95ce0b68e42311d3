import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decryptV2, encryptV2 } from './interop/independent.ts';
import { KEYS, testKeyring, thrown } from './support.ts';

const keyring = testKeyring();
const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const contexts = fc.dictionary(text, text, { maxKeys: 12, size: 'max', noNullPrototype: true });

describe('any JSON value under any context', () => {
  it('comes back, here and in an independent implementation', () => {
    fc.assert(
      fc.property(fc.jsonValue(), contexts, (value, context) => {
        const same = JSON.parse(JSON.stringify(value)) as unknown;
        const envelope = keyring.encrypt(value as never, { context });
        expect(keyring.decrypt(envelope, { context })).toEqual(same);
        expect(decryptV2(KEYS.v1, envelope, context)).toEqual(same);
        expect(keyring.decrypt(encryptV2(KEYS.v1, 'v1', context, value as never), { context })).toEqual(same);
      }),
      { numRuns: 300 },
    );
  });

  it('opens under no other context', () => {
    fc.assert(
      fc.property(contexts, contexts, (context, other) => {
        fc.pre(canonical(context) !== canonical(other));
        const envelope = keyring.encrypt('x', { context });
        expect(thrown(() => keyring.decrypt(envelope, { context: other })).code).toBe('ERR_ENVELOPE_DECRYPT');
      }),
      { numRuns: 1000 },
    );
  });
});

describe('anything at all', () => {
  it('is opened or refused with a typed error', () => {
    const shaped = fc.record(
      { __enc: fc.oneof(fc.constantFrom(1, 2, 3), fc.anything()), kid: fc.oneof(fc.constant('v1'), fc.anything()) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(fc.anything(), shaped), (value) => {
        expect(thrown(() => keyring.decrypt(value, { context: {} })).code).toMatch(/^ERR_(?:ENVELOPE|KEYRING)_/);
      }),
      { numRuns: 2000 },
    );
  });
});

function canonical(context: Record<string, string>): string {
  return JSON.stringify(Object.entries(context).sort(([a], [b]) => (a < b ? -1 : 1)));
}
