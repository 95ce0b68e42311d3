import { contextBytes } from '@keywright/kms';
import fc from 'fast-check';
import { expect, it } from 'vitest';

it('is PAE over the sorted pairs, as this example was worked out by hand', () => {
  const expected = [
    '0400000000000000', // four parts
    '0100000000000000 61', // a
    '0200000000000000 c3bc', // ü
    '0200000000000000 6262', // bb
    '0000000000000000',
  ];
  expect(contextBytes({ bb: '', a: 'ü' }).toString('hex')).toBe(expected.join('').replaceAll(' ', ''));
  expect(contextBytes({}).toString('hex')).toBe('0000000000000000');
});

it('does not depend on the order of the pairs, and sorts by UTF-8 where UTF-16 has another order', () => {
  const [high, low] = ['\u{1f511}', '\uff5e'];
  expect(contextBytes({ [high]: '1', [low]: '2' })).toEqual(contextBytes({ [low]: '2', [high]: '1' }));
  expect(contextBytes({ [high]: '1', [low]: '2' }).indexOf(low)).toBe(16);
});

it('is never the same for two contexts', () => {
  const context = fc.dictionary(
    fc.string({ maxLength: 4, unit: 'grapheme' }),
    fc.string({ maxLength: 4, unit: 'grapheme' }),
  );
  const sorted = (pairs: object): string => JSON.stringify(Object.entries(pairs).sort());
  fc.assert(
    fc.property(context, context, (a, b) => contextBytes(a).equals(contextBytes(b)) === (sorted(a) === sorted(b))),
  );
});

it('refuses what is no context of pairs, by one code', () => {
  const throws = {
    get a(): string {
      throw new Error('no');
    },
  };
  const instance = new (class Context {
    tenant = 'acme';
  })();
  const unpaired = [{ a: '\ud800' }, { '\udfff': 'a' }, { a: 1 }, { a: undefined }];
  for (const context of [undefined, null, 'text', 7, [], new Map(), instance, throws, ...unpaired]) {
    expect(() => contextBytes(context as never)).toThrowError(
      expect.objectContaining({ code: 'ERR_ENVELOPE_INVALID_CONTEXT' }),
    );
  }
});
