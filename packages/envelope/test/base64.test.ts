import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { base64Decode } from '../src/internal/base64.ts';

/** What canonical means: encoding what was decoded gives the text again. */
function isCanonical(text: string): boolean {
  return text !== '' && Buffer.from(text, 'base64').toString('base64') === text;
}

describe('base64', () => {
  it('decodes exactly what is canonical', () => {
    const likely = fc.stringMatching(/^[AZaz09+/=\-_ \n.Ł]{0,12}$/);
    const real = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('base64'));
    const mutated = fc.tuple(real, fc.nat(), fc.string({ unit: 'binary', maxLength: 2 })).map(([text, at, other]) => {
      const index = text.length === 0 ? 0 : at % text.length;
      return text.slice(0, index) + other + text.slice(index + 1);
    });
    fc.assert(
      fc.property(fc.oneof(likely, real, mutated, fc.string()), (text) => {
        const decoded = base64Decode(text);
        expect(decoded !== undefined).toBe(isCanonical(text));
        if (decoded !== undefined) expect(decoded).toEqual(Buffer.from(text, 'base64'));
      }),
      { numRuns: 20_000 },
    );
  });

  it('refuses characters that only look like the alphabet to an 8-bit decoder', () => {
    // U+0141 is 0x41, "A", after truncation to a byte
    expect(base64Decode('\u0141AAA')).toBeUndefined();
    expect(base64Decode('AAA\uff1d')).toBeUndefined();
  });
});
