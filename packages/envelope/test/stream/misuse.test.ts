import { inspect } from 'node:util';
import { createKeyring, type Keyring } from '@keywright/envelope';
import * as node from '@keywright/envelope/node-stream';
import * as web from '@keywright/envelope/stream';
import { describe, expect, it } from 'vitest';
import { keyringOf } from '../suites.ts';
import { CONTEXT, KEYS, thrown } from '../support.ts';
import { DRIVERS, rejection } from './support.ts';

const CANARY = 'sk_live_canary';
const keyring = keyringOf(KEYS);

it('both modules export these names and no others', () => {
  expect(Object.keys(web).sort()).toEqual(['decryptStream', 'encryptStream']);
  expect(Object.keys(node).sort()).toEqual(['decryptStream', 'encryptStream']);
});

describe.each([
  ['web', web],
  ['node', node],
])('%s streams', (_name, { encryptStream, decryptStream }) => {
  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['no options', {}],
    ['a number', { context: { id: 42 } }],
    ['a map', { context: new Map() }],
    ['a lone surrogate', { context: { tenant: '\ud800' } }],
    ['a lone surrogate as a name', { context: { '\udfff': 'x' } }],
  ])('refuse a context that is %s, at once', (_what, options) => {
    expect(thrown(() => encryptStream(keyring, options as never)).code).toBe('ERR_ENVELOPE_INVALID_CONTEXT');
    expect(thrown(() => decryptStream(keyring, options as never)).code).toBe('ERR_ENVELOPE_INVALID_CONTEXT');
  });

  it.each([0, 1023, 1024 * 1024 + 1, 4096.5, Number.NaN, -1, '4096', null, 2n, [4096]])(
    'refuse a chunk size of %s',
    (chunkBytes) => {
      const error = thrown(() => encryptStream(keyring, { context: {}, chunkBytes } as never));
      expect(error).toMatchObject({ code: 'ERR_KEYRING_INVALID_ARGUMENT', context: { argument: 'chunkBytes' } });
    },
  );

  it('refuse what is no keyring, at once', () => {
    for (const other of [undefined, null, {}, Object.create(keyring) as Keyring]) {
      expect(() => encryptStream(other as never, { context: {} })).toThrow();
      const code = thrown(() => decryptStream(other as never, { context: {} })).code;
      expect(code === 'ERR_KEYRING_INVALID_ARGUMENT' || other instanceof Object).toBe(true);
    }
  });

  it('take chunk sizes from 1 KiB to 1 MiB', () => {
    for (const chunkBytes of [1024, 1025, 1024 * 1024, undefined]) {
      expect(() => encryptStream(keyring, { context: {}, chunkBytes } as never)).not.toThrow();
    }
  });
});

describe('a chunk that is no Uint8Array', () => {
  const wrong = [
    CANARY,
    42,
    null,
    undefined,
    {},
    [1],
    new ArrayBuffer(4),
    new DataView(new ArrayBuffer(4)),
    new Uint16Array(2),
  ];
  const detached = new Uint8Array(8);
  structuredClone(detached, { transfer: [detached.buffer] });

  it.each([...wrong, detached])('errors both sides of a web stream (%#)', async (chunk) => {
    for (const pair of [web.encryptStream(keyring, { context: {} }), web.decryptStream(keyring, { context: {} })]) {
      const writer = pair.writable.getWriter();
      const reading = rejection(
        pair.readable
          .getReader()
          .read()
          .then(() => pair.readable.getReader().read()),
      );
      const error = await rejection(writer.write(chunk as never));
      expect(error).toMatchObject({ code: 'ERR_ENVELOPE_INVALID_VALUE', context: { argument: 'chunk' } });
      expect(inspect(error, { depth: 9 }) + JSON.stringify(error)).not.toContain(CANARY);
      expect(await rejection(writer.closed)).toBe(error);
      await reading;
      await expect(writer.write(new Uint8Array(1))).rejects.toBe(error);
    }
  });

  it('is refused by a node stream, which takes strings as every stream of bytes does', async () => {
    const sealed = node.encryptStream(keyring, { context: {} });
    sealed.end('c2VjcmV0', 'base64');
    const opened = sealed.pipe(node.decryptStream(keyring, { context: {} }));
    expect(Buffer.concat(await opened.toArray()).toString()).toBe('secret');
    expect(thrown(() => node.encryptStream(keyring, { context: {} }).write({ token: CANARY })).code).toBe(
      'ERR_INVALID_ARG_TYPE',
    );
  });
});

describe.each(DRIVERS)('errors of $name streams', (driver) => {
  it('show nothing of what was encrypted', async () => {
    const plaintext = Buffer.from(CANARY.repeat(500));
    const options = { context: { tenant: 'acme' }, chunkBytes: 1024 };
    const stream = Buffer.concat(await driver.encrypt(keyring, options, [plaintext]));
    stream[stream.length - 1] = (stream.at(-1) ?? 0) ^ 1;
    for (const attempt of [
      driver.decrypt(keyring, options, [stream]),
      driver.decrypt(keyring, { context: { tenant: CANARY } }, [stream]),
      driver.decrypt(keyring, options, [plaintext]),
    ]) {
      const error = await rejection(attempt);
      expect(error.code).toMatch(/^ERR_ENVELOPE_/);
      expect(inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error) + error.stack).not.toContain(
        CANARY,
      );
    }
  });

  it('do not run the code of a context once the stream has begun', async () => {
    let reads = 0;
    const context = {
      get tenant(): string {
        reads++;
        return 'acme';
      },
    };
    const sealed = await driver.encrypt(keyring, { context, chunkBytes: 1024 }, [Buffer.alloc(9000)]);
    expect(reads).toBe(1);
    await driver.decrypt(keyring, { context }, sealed);
    expect(reads).toBe(2);
    expect(Buffer.concat(await driver.decrypt(keyring, { context: { tenant: 'acme' } }, sealed))).toHaveLength(9000);
  });
});

describe.each(DRIVERS)('a key that changes state while it is used by a $name stream', (driver) => {
  const context = CONTEXT;
  /** Changes the keyring when the second piece is asked for. */
  const pieces = (change: () => void, of: readonly Uint8Array[]): Iterable<Uint8Array> => ({
    *[Symbol.iterator]() {
      for (const [index, piece] of of.entries()) {
        if (index === 1) change();
        yield piece;
      }
    },
  });
  const fresh = (): Keyring => createKeyring({ keys: KEYS, activeKid: 'v1' });
  const blocks = [Buffer.alloc(3000), Buffer.alloc(3000), Buffer.alloc(3000)];

  it('goes on when it is rotated', async () => {
    const rotated = fresh();
    const sealed = await driver.encrypt(
      rotated,
      { context },
      pieces(() => rotated.activate('v2'), blocks),
    );
    expect(rotated.activeKid).toBe('v2');
    expect(Buffer.concat(await driver.decrypt(rotated, { context }, sealed))).toHaveLength(9000);
  });

  it.each(['disable', 'destroy'] as const)('stops when it is taken out of use: %s', async (how) => {
    const retire = (of: Keyring) => (): void => {
      of.activate('v2');
      of[how]('v1');
    };
    const writing = fresh();
    const options = { context, chunkBytes: 1024 };
    const error = await rejection(driver.encrypt(writing, options, pieces(retire(writing), blocks)));
    expect(error).toMatchObject({ code: 'ERR_KEYRING_KEY_NOT_USABLE', context: { kid: 'v1' } });

    const reading = fresh();
    const sealed = Buffer.concat(await driver.encrypt(reading, options, blocks));
    const thirds = [sealed.subarray(0, 3000), sealed.subarray(3000, 6000), sealed.subarray(6000)];
    const given: Uint8Array[] = [];
    const refused = await rejection(driver.decrypt(reading, { context }, pieces(retire(reading), thirds), given));
    expect(refused).toMatchObject({ code: 'ERR_KEYRING_KEY_NOT_USABLE', context: { kid: 'v1' } });
    expect(Buffer.concat(given).length).toBeLessThan(3000);
  });
});
