import { inspectEnvelope } from '@keywright/envelope';
import { describe, expect, it } from 'vitest';
import { ChunkNonces } from '../../src/stream/nonces.ts';
import { keyringOf, SUITES } from '../suites.ts';
import { CONTEXT, hex, KEYS, thrown } from '../support.ts';
import { DRIVERS, NODE, rejection } from './support.ts';

const MIB = 1024 * 1024;
const keyring = keyringOf(KEYS);
const start = (chunkBytes: number, kid: string, suite = 1, version = 2): Buffer => {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(chunkBytes);
  return Buffer.concat([
    Buffer.from('KWS'),
    Buffer.from([version, suite]),
    size,
    Buffer.from([kid.length]),
    Buffer.from(kid),
  ]);
};

describe.each(DRIVERS)('what is no stream, $name', (driver) => {
  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), 'ERR_ENVELOPE_NOT_ENCRYPTED'],
    ['half the magic', Buffer.from('KW'), 'ERR_ENVELOPE_NOT_ENCRYPTED'],
    ['other bytes', Buffer.from('PK\u0003\u0004'.padEnd(500)), 'ERR_ENVELOPE_NOT_ENCRYPTED'],
    ['a bytes envelope', keyring.encryptBytes(KEYS.v1, { context: CONTEXT }), 'ERR_ENVELOPE_NOT_ENCRYPTED'],
    ['only the magic', Buffer.from('KWS'), 'ERR_ENVELOPE_UNSUPPORTED_VERSION'],
    ['a later version', start(MIB, 'v1', 1, 3), 'ERR_ENVELOPE_UNSUPPORTED_VERSION'],
    ['a later suite', start(MIB, 'v1', 9), 'ERR_ENVELOPE_UNSUPPORTED_VERSION'],
    ['no chunk size', Buffer.from([0x4b, 0x57, 0x53, 2, 1]), 'ERR_ENVELOPE_MALFORMED'],
    ['chunks of no bytes', start(0, 'v1'), 'ERR_ENVELOPE_MALFORMED'],
    ['chunks below 1 KiB', start(1023, 'v1'), 'ERR_ENVELOPE_MALFORMED'],
    ['chunks above 1 MiB', start(MIB + 1, 'v1'), 'ERR_ENVELOPE_MALFORMED'],
    ['chunks of 4 GiB', start(2 ** 32 - 1, 'v1'), 'ERR_ENVELOPE_MALFORMED'],
    ['a kid of length 0', start(MIB, ''), 'ERR_ENVELOPE_MALFORMED'],
    ['a kid of 65 characters', start(MIB, 'k'.repeat(65)), 'ERR_ENVELOPE_MALFORMED'],
    ['a kid with other characters', start(MIB, 'v1\n'), 'ERR_ENVELOPE_MALFORMED'],
    ['a kid longer than the rest', start(MIB, 'v123').subarray(0, 12), 'ERR_ENVELOPE_MALFORMED'],
    ['an unknown kid', Buffer.concat([start(MIB, 'v9'), Buffer.alloc(80)]), 'ERR_KEYRING_KID_UNKNOWN'],
    [
      'a kid that every object has',
      Buffer.concat([start(MIB, '__proto__'), Buffer.alloc(80)]),
      'ERR_KEYRING_KID_UNKNOWN',
    ],
    ['nothing after the kid', start(MIB, 'v1'), 'ERR_ENVELOPE_DECRYPT'],
  ])('%s is refused', async (_what, bytes, code) => {
    expect((await rejection(driver.decrypt(keyring, { context: CONTEXT }, [bytes]))).code).toBe(code);
    const byByte = Array.from(bytes, (byte) => Uint8Array.of(byte));
    expect((await rejection(driver.decrypt(keyring, { context: CONTEXT }, byByte))).code).toBe(code);
  });

  it('a suite that the keyring was not given is refused by name', async () => {
    const sealed = await driver.encrypt(keyringOf(KEYS, SUITES.at(-1)), { context: CONTEXT }, [KEYS.v1]);
    const { createKeyring } = await import('@keywright/envelope');
    const plain = createKeyring({ keys: KEYS, activeKid: 'v1' });
    const error = await rejection(driver.decrypt(plain, { context: CONTEXT }, sealed));
    expect(error).toMatchObject({ code: 'ERR_KEYRING_SUITE_MISSING', context: { expected: 'XS20P' } });
  });
});

it.each(SUITES)(
  'inspectEnvelope names suite and key of a stream in $id, of all of it and of its start',
  async (suite) => {
    const sealed = Buffer.concat(
      await NODE.encrypt(keyringOf(KEYS, suite), { context: CONTEXT }, [Buffer.alloc(5000)]),
    );
    const info = { version: 2, form: 'stream', suite: suite.id, kid: 'v1' };
    expect(inspectEnvelope(sealed)).toEqual(info);
    expect(inspectEnvelope(sealed.subarray(0, 12))).toEqual(info);
    expect(thrown(() => inspectEnvelope(sealed.subarray(0, 11))).code).toBe('ERR_ENVELOPE_MALFORMED');
    expect(thrown(() => inspectEnvelope(Buffer.from('KWS'))).code).toBe('ERR_ENVELOPE_UNSUPPORTED_VERSION');
  },
);

it('writes the header that the specification draws', async () => {
  for (const [suite, code, prefix] of [
    [SUITES[0], 1, 7],
    [SUITES[1], 2, 19],
    [SUITES[3], 3, 19],
  ] as const) {
    const pieces = await NODE.encrypt(keyringOf(KEYS, suite), { context: {}, chunkBytes: 0x01_02_03 }, []);
    const sealed = Buffer.concat(pieces);
    expect(hex(sealed.subarray(0, 12))).toBe(
      `4b575302${code.toString(16).padStart(2, '0')}0302010002${hex(Buffer.from('v1'))}`,
    );
    expect(sealed).toHaveLength(12 + 16 + prefix + 32 + 16);
  }
});

describe('nonces', () => {
  it('are prefix, counter and flag, each counter once', () => {
    const nonces = new ChunkNonces(Buffer.alloc(7, 0xaa));
    const made = [false, false, true].map((last) => hex(nonces.next(last) ?? Buffer.alloc(0)));
    expect(made).toEqual(['aaaaaaaaaaaaaa0000000000', 'aaaaaaaaaaaaaa0000000100', 'aaaaaaaaaaaaaa0000000201']);
  });

  it('end at 2^32 chunks', () => {
    const nonces = new ChunkNonces(Buffer.alloc(7, 0xaa), 2 ** 32 - 2);
    expect(hex(nonces.next(false) ?? Buffer.alloc(0))).toBe('aaaaaaaaaaaaaafffffffe00');
    expect(hex(nonces.next(false) ?? Buffer.alloc(0))).toBe('aaaaaaaaaaaaaaffffffff00');
    expect(nonces.next(false)).toBeUndefined();
    expect(nonces.next(true)).toBeUndefined();
  });
});
