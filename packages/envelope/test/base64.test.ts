import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { base64Decode, base64UrlDecodeInto } from '../src/internal/base64.ts';
import { Buffer as RuntimeBuffer } from '../src/runtime/node.ts';
import { hex } from './support.ts';

/** What canonical means: encoding what was decoded gives the text again. */
function isCanonical(text: string, encoding: 'base64' | 'base64url'): boolean {
  return text !== '' && Buffer.from(text, encoding).toString(encoding) === text;
}

/** As what is asked for: base64url is decoded into memory of the caller's. */
function decodeUrl(text: string, length = 100): Uint8Array | undefined {
  const target = RuntimeBuffer.alloc(length);
  const written = base64UrlDecodeInto(text, target);
  return written < 0 ? undefined : target.subarray(0, written);
}

describe.each(['base64', 'base64url'] as const)('%s', (encoding) => {
  const decode = encoding === 'base64' ? base64Decode : decodeUrl;

  it('decodes exactly what is canonical', () => {
    const likely = fc.stringMatching(/^[AZaz09+/=\-_ \n.Ł]{0,12}$/);
    const real = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString(encoding));
    const mutated = fc.tuple(real, fc.nat(), fc.string({ unit: 'binary', maxLength: 2 })).map(([text, at, other]) => {
      const index = text.length === 0 ? 0 : at % text.length;
      return text.slice(0, index) + other + text.slice(index + 1);
    });
    fc.assert(
      fc.property(fc.oneof(likely, real, mutated, fc.string()), (text) => {
        const decoded = decode(text);
        expect(decoded !== undefined).toBe(isCanonical(text, encoding));
        if (decoded !== undefined) expect(hex(decoded)).toBe(Buffer.from(text, encoding).toString('hex'));
      }),
      { numRuns: 10_000 },
    );
  });

  it('refuses characters that only look like the alphabet to an 8-bit decoder', () => {
    // U+0141 is 0x41, "A", after truncation to a byte
    expect(decode('\u0141AAA')).toBeUndefined();
    expect(decode('AAA\uff1d')).toBeUndefined();
  });

  it('refuses what the other alphabet alone has', () => {
    const [own, other] = encoding === 'base64' ? ['+/+/', '-_-_'] : ['-_-_', '+/+/'];
    expect(hex(decode(own) as Uint8Array)).toBe('fbffbf');
    expect(decode(other)).toBeUndefined();
  });
});

describe('a large text is read in memory of its size', () => {
  const MIB = 2 ** 20;
  /** What resident memory grows by. */
  const cost = (work: () => void): number => {
    const before = process.memoryUsage().rss;
    work();
    return process.memoryUsage().rss - before;
  };

  it('where it is all padding', () => {
    const padding = '='.repeat(32 * MIB);
    const decode = (): void =>
      expect([base64Decode(padding), base64Decode(`AAAA${padding}`)]).toEqual([undefined, undefined]);
    // A decoder that splits at every sign takes 400 MiB.
    expect(cost(decode)).toBeLessThan(200 * MIB);
  });

  it('where it is all of what only base64url has', () => {
    const text = '-'.repeat(32 * MIB);
    const target = RuntimeBuffer.alloc(32 * MIB + 4);
    // To replace every character takes a gigabyte.
    expect(cost(() => expect(base64UrlDecodeInto(text, target)).toBe(24 * MIB))).toBeLessThan(400 * MIB);
    expect(hex(target.subarray(24 * MIB - 3, 24 * MIB))).toBe('fbefbe');
  });
});

it('base64url that is longer than the room for it is refused', () => {
  expect(decodeUrl('AAAA', 3)).toBeDefined();
  expect(decodeUrl('AAAA', 2)).toBeUndefined();
});
