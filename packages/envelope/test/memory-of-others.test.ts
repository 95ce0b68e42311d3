import { createKeyring, type Suite } from '@keywright/envelope';
import * as node from '@keywright/envelope/node-stream';
import * as web from '@keywright/envelope/stream';
import { describe, expect, it } from 'vitest';
import { A256GCM } from '../src/runtime/node.ts';
import { all, rejection } from './stream/support.ts';
import { keyringOf, SUITES } from './suites.ts';
import { CONTEXT, KEYS, testKeyring, thrown } from './support.ts';

const options = { context: CONTEXT };

async function passed(pair: web.ByteStreamPair, input: Uint8Array): Promise<Buffer> {
  return Buffer.concat(await all(ReadableStream.from([input]).pipeThrough(pair)));
}

/** Eight bytes whose memory was shrunk under them: they have the length 0 and are not detached. */
function cutOff(): Uint8Array {
  const memory = new ArrayBuffer(16, { maxByteLength: 32 });
  const bytes = new Uint8Array(memory, 4, 8);
  memory.resize(5);
  return bytes;
}

describe('bytes whose memory was shrunk under them do not pass for empty', () => {
  it('as a plaintext, an envelope or a part of a MAC', () => {
    const keyring = testKeyring();
    expect(cutOff()).toHaveLength(0);
    expect(thrown(() => keyring.encryptBytes(cutOff(), options)).code).toBe('ERR_ENVELOPE_INVALID_VALUE');
    expect(thrown(() => keyring.decryptBytes(cutOff(), options)).code).toBe('ERR_ENVELOPE_NOT_ENCRYPTED');
    expect(thrown(() => keyring.mac('test', [cutOff()])).code).toBe('ERR_ENVELOPE_INVALID_VALUE');
    const growing = new ArrayBuffer(8, { maxByteLength: 16 });
    for (const empty of [new Uint8Array(0), new Uint8Array(growing, 8)]) {
      expect(keyring.decryptBytes(keyring.encryptBytes(empty, options), options)).toHaveLength(0);
    }
  });

  it('as a chunk of a stream, when it is written and while it waits', async () => {
    const pair = web.encryptStream(testKeyring(), options);
    const reading = rejection(pair.readable.getReader().read());
    expect((await rejection(pair.writable.getWriter().write(cutOff()))).code).toBe('ERR_ENVELOPE_INVALID_VALUE');
    await reading;

    const memory = new ArrayBuffer(16, { maxByteLength: 32 });
    const stream = node.encryptStream(testKeyring(), options);
    const failed = rejection(stream.toArray());
    stream.cork();
    stream.write(new Uint8Array(memory, 4, 8));
    memory.resize(5);
    stream.uncork();
    stream.end();
    expect((await failed).code).toBe('ERR_ENVELOPE_INVALID_VALUE');
  });
});

it("a plaintext that the context's code gives away is refused, not sealed as empty", () => {
  const plaintext = Uint8Array.from([1, 2, 3]);
  const context = {
    get tenant(): string {
      structuredClone(plaintext, { transfer: [plaintext.buffer] });
      return 'acme';
    },
  };
  expect(thrown(() => testKeyring().encryptBytes(plaintext, { context })).code).toBe('ERR_ENVELOPE_INVALID_VALUE');
});

it('the beginning of a stream that is given away before it is read is named as that', async () => {
  const sealed = new Uint8Array(Buffer.concat(await node.encryptStream(testKeyring(), options).end('x').toArray()));
  const { readable, writable } = web.decryptStream(testKeyring(), options);
  const writing = rejection(writable.getWriter().write(sealed));
  await new Promise(setImmediate);
  structuredClone(sealed, { transfer: [sealed.buffer] });
  expect((await rejection(readable.getReader().read())).code).toBe('ERR_ENVELOPE_INVALID_VALUE');
  expect((await writing).code).toBe('ERR_ENVELOPE_INVALID_VALUE');
});

it.each(SUITES.map((suite) => ({ suite, by: `${suite.id} by ${suite.implementation}` })))(
  'an envelope of gigabytes is refused as any other that does not open: $by',
  ({ suite }) => {
    const keyring = keyringOf(KEYS, suite);
    const genuine = keyring.encryptBytes(KEYS.v1, options);
    // The right salt and commitment: what follows is as far as an attacker gets. Never touched, it takes no memory.
    const huge = new Uint8Array(2 ** 31 + 1000);
    huge.set(genuine);
    expect(thrown(() => keyring.decryptBytes(huge, options)).code).toBe('ERR_ENVELOPE_DECRYPT');
  },
);

describe('shared memory is read once', () => {
  // Seen by the cipher: what it reads twice, another thread can change between its tag and its bytes.
  let opened = 0;
  const watched: Suite = {
    ...A256GCM,
    importKey: (bytes) => {
      const key = A256GCM.importKey(bytes);
      return {
        seal: key.seal.bind(key),
        open(nonce, associatedData, ciphertext, tag) {
          opened++;
          for (const part of [nonce, ciphertext, tag]) expect(part.buffer).not.toBeInstanceOf(SharedArrayBuffer);
          return key.open(nonce, associatedData, ciphertext, tag);
        },
      };
    },
  };
  const keyring = createKeyring({ keys: KEYS, activeKid: 'v1', suite: watched });
  const shared = (bytes: Uint8Array): Uint8Array => {
    const memory = new Uint8Array(new SharedArrayBuffer(bytes.length));
    memory.set(bytes);
    return memory;
  };

  it('as an envelope', () => {
    opened = 0;
    const envelope = shared(keyring.encryptBytes(shared(KEYS.v2), options));
    expect(keyring.decryptBytes(envelope, options)).toEqual(KEYS.v2);
    expect(opened).toBe(1);
  });

  it('as a stream', async () => {
    opened = 0;
    const plaintext = Buffer.alloc(5000, 7);
    const sealed = await passed(web.encryptStream(keyring, { ...options, chunkBytes: 1024 }), shared(plaintext));
    expect(await passed(web.decryptStream(keyring, options), shared(sealed))).toEqual(plaintext);
    expect(opened).toBe(5);
  });
});
