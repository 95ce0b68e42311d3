import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openStream, type StreamSuite, sealStream } from '../interop/independent-stream.ts';
import { keyringOf, SUITES } from '../suites.ts';
import { CONTEXT, hex, KEYS } from '../support.ts';
import { DRIVERS, dissect, NODE, WEB } from './support.ts';

const CHUNK = 1024;
const SIZES = [0, 1, 2, CHUNK - 17, CHUNK - 16, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 16, CHUNK + 17].flatMap((size) =>
  size < 3 ? [size, CHUNK * 2 + size, CHUNK * 3 - size] : [size, size + CHUNK],
);
/** UTF-8 order differs from UTF-16 order: U+FF61 is EF BD A1, U+10000 is F0 90 80 80 but D800 DC00. */
const CONTEXTS = [{}, CONTEXT, { '\uff61': 'half-width', '\u{10000}': 'astral', ä: 'umlaut', z: '' }];
const implementations = SUITES.flatMap((suite) =>
  DRIVERS.map((driver) => ({ suite, driver, name: `${suite.id} by ${suite.implementation}, ${driver.name}` })),
);

describe.each(implementations)('$name', ({ suite, driver }) => {
  const keyring = keyringOf(KEYS, suite);

  it('gives back every length around the ends of chunks, to both implementations and to an independent one', async () => {
    for (const size of SIZES) {
      const plaintext = randomBytes(size);
      const sealed = Buffer.concat(await driver.encrypt(keyring, { context: CONTEXT, chunkBytes: CHUNK }, [plaintext]));
      expect(dissect(sealed, CHUNK).chunks).toHaveLength(Math.max(1, Math.ceil(size / CHUNK)));
      for (const reader of DRIVERS) {
        expect(Buffer.concat(await reader.decrypt(keyring, { context: CONTEXT }, [sealed]))).toEqual(plaintext);
      }
      expect(hex(openStream(KEYS.v1, 'v1', CONTEXT, sealed))).toBe(hex(plaintext));
    }
  });

  it('reads what an independent implementation has written, under any context', async () => {
    for (const context of CONTEXTS) {
      for (const size of SIZES) {
        const plaintext = randomBytes(size);
        const sealed = sealStream(KEYS.v1, 'v1', suite.id as StreamSuite, context, plaintext, CHUNK);
        expect(Buffer.concat(await driver.decrypt(keyring, { context }, [sealed]))).toEqual(plaintext);
      }
    }
  });
});

describe.each(DRIVERS)('$name streams', (driver) => {
  const keyring = keyringOf(KEYS);

  it('take and give pieces of any length: the cut of the input does not show', async () => {
    const cuts = fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 6000 }), cuts, cuts, async (plaintext, some, others) => {
        const sealed = await driver.encrypt(keyring, { context: CONTEXT, chunkBytes: CHUNK }, cut(plaintext, some));
        const opened = await driver.decrypt(keyring, { context: CONTEXT }, cut(Buffer.concat(sealed), others));
        expect(hex(Buffer.concat(opened))).toBe(hex(plaintext));
        expect(hex(openStream(KEYS.v1, 'v1', CONTEXT, Buffer.concat(sealed)))).toBe(hex(plaintext));
      }),
      { numRuns: 150 },
    );
  });

  it('work a byte at a time, and on pieces of many chunks', async () => {
    const plaintext = randomBytes(2 * CHUNK + 1);
    const bytes = (all: Uint8Array): Uint8Array[] => Array.from(all, (byte) => Uint8Array.of(byte));
    const sealed = await driver.encrypt(keyring, { context: {}, chunkBytes: CHUNK }, bytes(plaintext));
    const opened = await driver.decrypt(keyring, { context: {} }, bytes(Buffer.concat(sealed)));
    expect(Buffer.concat(opened)).toEqual(plaintext);

    const large = randomBytes(3 * 1024 * 1024 + 5);
    const pieces = await driver.encrypt(keyring, { context: {} }, [large]);
    expect(pieces.slice(1, -1).every((piece) => piece.length === 65_536 + 16)).toBe(true);
    expect(hex(Buffer.concat(await driver.decrypt(keyring, { context: {} }, [Buffer.concat(pieces)])))).toBe(
      hex(large),
    );
  });

  it('never use a salt, a prefix or a commitment twice', async () => {
    const headers = new Set<string>();
    for (let round = 0; round < 50; round++) {
      const sealed = Buffer.concat(await driver.encrypt(keyring, { context: {} }, []));
      headers
        .add(hex(sealed.subarray(12, 28)))
        .add(hex(sealed.subarray(28, 35)))
        .add(hex(sealed.subarray(35, 67)));
    }
    expect(headers.size).toBe(150);
  });
});

it('either implementation reads the other, at the default chunk size', async () => {
  const keyring = keyringOf(KEYS);
  const plaintext = randomBytes(200_000);
  for (const [writer, reader] of [
    [WEB, NODE],
    [NODE, WEB],
  ] as const) {
    const sealed = await writer.encrypt(keyring, { context: CONTEXT }, [plaintext]);
    expect(hex(Buffer.concat(await reader.decrypt(keyring, { context: CONTEXT }, sealed)))).toBe(hex(plaintext));
  }
});

function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const length of lengths) {
    pieces.push(bytes.subarray(at, at + length));
    at = Math.min(bytes.length, at + length);
  }
  return [...pieces, bytes.subarray(at)];
}
