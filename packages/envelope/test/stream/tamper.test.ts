import { randomBytes } from 'node:crypto';
import { createKeyring } from '@keywright/envelope';
import { describe, expect, it } from 'vitest';
import { sealStream } from '../interop/independent-stream.ts';
import { keyringOf, SUITES } from '../suites.ts';
import { CONTEXT, KEYS, thrown } from '../support.ts';
import { bodyAt, DRIVERS, dissect, NODE, openAtOnce, rejection } from './support.ts';

const CHUNK = 1024;
const plaintext = randomBytes(2 * CHUNK + 100);

/** One code, one message, no reason, no cause. */
function expectRefused(error: Error & { code?: string }): void {
  expect(error.code).toBe('ERR_ENVELOPE_DECRYPT');
  expect(error.cause).toBeUndefined();
  expect((error as unknown as { context: object }).context).toEqual({});
}

describe.each(SUITES)('a stream in $id by $implementation is refused', (suite) => {
  const keyring = keyringOf(KEYS, suite);
  const seal = (bytes: Uint8Array): Promise<Buffer> =>
    NODE.encrypt(keyring, { context: CONTEXT, chunkBytes: CHUNK }, [bytes]).then((pieces) => Buffer.concat(pieces));
  const open = (stream: Uint8Array, context: Record<string, string> = CONTEXT): Buffer =>
    openAtOnce(keyring, context, stream);

  it('with any byte changed, in the header by a typed error', async () => {
    const stream = await seal(plaintext);
    expect(open(stream)).toEqual(plaintext);
    const saltAt = 12;
    for (let at = 0; at < stream.length; at++) {
      const changed = Buffer.from(stream);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      const error = thrown(() => open(changed));
      if (at >= saltAt) expectRefused(error);
      else expect(error.code).toMatch(/^ERR_(ENVELOPE|KEYRING)_/);
    }
  });

  it('cut anywhere', async () => {
    const stream = await seal(plaintext);
    for (let length = 0; length < stream.length; length++) {
      const error = thrown(() => open(stream.subarray(0, length)));
      if (length >= 12) expectRefused(error);
      else expect(error.code).toMatch(/^ERR_ENVELOPE_(NOT_ENCRYPTED|UNSUPPORTED_VERSION|MALFORMED)$/);
    }
  });

  it('with anything after its end', async () => {
    for (const size of [0, 100, CHUNK, 2 * CHUNK]) {
      const stream = await seal(plaintext.subarray(0, size));
      for (const extra of [Buffer.alloc(1), Buffer.alloc(16), Buffer.alloc(CHUNK + 16), stream]) {
        expectRefused(thrown(() => open(Buffer.concat([stream, extra]))));
      }
    }
  });

  it('with its chunks swapped, repeated, dropped or taken from another stream of the same key and context', async () => {
    const bytes = randomBytes(4 * CHUNK);
    const { header, chunks } = dissect(await seal(bytes), CHUNK);
    const other = dissect(await seal(bytes), CHUNK);
    const [a, b, c, d] = chunks as [Buffer, Buffer, Buffer, Buffer];
    const orders: Buffer[][] = [
      [b, a, c, d],
      [a, b, d, c],
      [a, a, c, d],
      [a, b, c, d, d],
      [a, b, b, c, d],
      [a, c, d],
    ];
    orders.push([b, c, d], [a, b, c], [a, b], [d], [], [a, other.chunks[1] as Buffer, c, d], [...other.chunks]);
    orders.push([a, b, c, other.chunks[3] as Buffer], [d, a, b, c]);
    expect(open(Buffer.concat([header, a, b, c, d]))).toEqual(bytes);
    for (const order of orders) expectRefused(thrown(() => open(Buffer.concat([header, ...order]))));
    expectRefused(thrown(() => open(Buffer.concat([other.header, a, b, c, d]))));
  });

  it('that ends with an empty chunk after others, though its tag is right', () => {
    for (const size of [CHUNK, 2 * CHUNK]) {
      const bytes = plaintext.subarray(0, size);
      const spelled = sealStream(KEYS.v1, 'v1', suite.id, CONTEXT, bytes, CHUNK, { emptyLast: true });
      expectRefused(thrown(() => open(spelled)));
    }
  });

  it('under another context, and under another key of the same id', async () => {
    const stream = await seal(plaintext);
    const { tenant, ...rest } = CONTEXT;
    for (const context of [{}, rest, { ...CONTEXT, tenant: 'globex' }, { ...CONTEXT, more: '' }]) {
      expectRefused(thrown(() => open(stream, context)));
    }
    expect(open(stream, { ...rest, tenant })).toEqual(plaintext);
    const stranger = keyringOf({ v1: KEYS.v2 }, suite);
    expectRefused(thrown(() => openAtOnce(stranger, CONTEXT, stream)));
  });
});

describe.each(DRIVERS)('$name streams', (driver) => {
  const keyring = keyringOf(KEYS);

  it('give no byte of a chunk whose tag does not verify', async () => {
    const pieces = await driver.encrypt(keyring, { context: CONTEXT, chunkBytes: CHUNK }, [plaintext]);
    const stream = Buffer.concat(pieces);
    const { header, chunks } = dissect(stream, CHUNK);
    const second = header.length + (chunks[0]?.length ?? 0) + 5;
    stream[second] = (stream[second] ?? 0) ^ 1;
    const given: Uint8Array[] = [];
    expectRefused(await rejection(driver.decrypt(keyring, { context: CONTEXT }, [stream], given)));
    // What a node stream has not yet handed on is dropped with the error.
    const bytes = Buffer.concat(given);
    expect(bytes.length === CHUNK || (driver === NODE && bytes.length === 0)).toBe(true);
    expect(bytes).toEqual(plaintext.subarray(0, bytes.length));
  });

  it('tell a cut at the end of a chunk only at the end', async () => {
    const stream = Buffer.concat(await driver.encrypt(keyring, { context: {}, chunkBytes: CHUNK }, [plaintext]));
    const cut = stream.subarray(0, bodyAt(stream) + CHUNK + 16);
    expectRefused(await rejection(driver.decrypt(keyring, { context: {} }, [cut])));
  });

  it('have only typed errors for what begins as a stream and goes on at random', async () => {
    const stream = Buffer.concat(await driver.encrypt(keyring, { context: {}, chunkBytes: CHUNK }, [plaintext]));
    for (let round = 0; round < 300; round++) {
      const junk = Buffer.concat([stream.subarray(0, round % 80), randomBytes(round * 7)]);
      const error = await rejection(driver.decrypt(keyring, { context: {} }, [junk]));
      expect(error.code).toMatch(/^ERR_(ENVELOPE|KEYRING)_/);
    }
  });
});

it('a header that names another key of the keyring is refused by its commitment', async () => {
  const keyring = createKeyring({ keys: KEYS, activeKid: 'v1' });
  const stream = Buffer.concat(await NODE.encrypt(keyring, { context: {} }, [plaintext]));
  stream.write('v2', 10, 'latin1');
  expectRefused(await rejection(NODE.decrypt(keyring, { context: {} }, [stream])));
});
