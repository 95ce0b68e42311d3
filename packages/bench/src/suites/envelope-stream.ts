import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import { createKeyring, type Keyring } from '@keywright/envelope';
import * as node from '@keywright/envelope/node-stream';
import * as web from '@keywright/envelope/stream';
import { Fixtures } from '../fixtures.ts';
import { bytesThroughNode, bytesThroughWeb } from '../pipes.ts';
import type { Case, Suite } from '../suite.ts';

const PIECE_BYTES = 64 * 1024;
const PIECES = 1024;
/** Plaintext is these over and over, as from a cache. */
const DIFFERENT_PIECES = 128;
const BYTES = PIECES * PIECE_BYTES;
/** Header, 12 bytes with the kid `v1`, salt, prefix and commitment; a tag for each chunk. */
const SEALED_BYTES = 12 + 16 + 7 + 32 + BYTES + 16 * PIECES;
/** At least 60 % of the throughput. */
const MAX_RATIO = 1.66;
const NONCE = Buffer.alloc(12);
const ASSOCIATED_DATA = Buffer.alloc(150);

const about = `64 MiB in pieces of 64 KiB, from a source that has them in memory to a sink that drops them.

- **raw AES-GCM**, the baseline: one cipher of \`node:crypto\` that is fed the same pieces in a loop. No stream, no chunks
  that can be told apart, nothing to read before the end.
- **a cipher for each piece**: the same with a cipher, associated data and a tag for each piece, in a loop, without a stream:
  what authenticating pieces costs before anything of ours runs.
- **node stream**, **web stream**: \`encryptStream\` and \`decryptStream\` of \`@keywright/envelope/node-stream\` and
  \`/stream\`, in a pipe from source to sink. The derivation of the stream's key is in the figures.

Ciphertext comes in pieces of 64 KiB too, as a file is read, so no piece is a chunk. The budget is 60 % of the
throughput of the cipher alone. What a gigabyte takes of memory: \`node packages/bench/src/stream-memory.ts\`.`;

/** Streams against the cipher alone. */
export const envelopeStream: Suite = {
  name: 'envelope-stream',
  title: 'Streams',
  about,
  operation: '64 MiB',
  rounds: 11,
  cases,
};

async function cases(): Promise<Case[]> {
  const fixtures = new Fixtures(BYTES);
  const bytes = fixtures.bytes(32);
  const key = createSecretKey(bytes);
  const keyring = createKeyring({ keys: { v1: bytes }, activeKid: 'v1' });
  const different = cut(fixtures.bytes(DIFFERENT_PIECES * PIECE_BYTES));
  const plaintext = Array.from({ length: PIECES }, (_, index) => different[index % DIFFERENT_PIECES] as Buffer);
  const sealed = cut(await sealedOf(keyring, plaintext));
  return [encryptCase(key, keyring, plaintext), decryptCase(key, keyring, plaintext, sealed)];
}

function encryptCase(key: KeyObject, keyring: Keyring, plaintext: readonly Buffer[]): Case {
  return {
    name: 'encrypt',
    bytes: BYTES,
    contenders: [
      { name: 'raw AES-GCM', role: 'baseline', expected: BYTES, run: () => rawEncrypt(key, plaintext) },
      {
        name: 'a cipher for each piece',
        role: 'limit',
        expected: BYTES + 16 * PIECES,
        run: () => rawPieces(key, plaintext),
      },
      {
        name: 'node stream',
        role: 'subject',
        maxRatio: MAX_RATIO,
        expected: SEALED_BYTES,
        run: () => bytesThroughNode(plaintext, node.encryptStream(keyring, { context: context() })),
      },
      {
        name: 'web stream',
        role: 'subject',
        maxRatio: MAX_RATIO,
        expected: SEALED_BYTES,
        run: () => bytesThroughWeb(plaintext, web.encryptStream(keyring, { context: context() })),
      },
    ],
  };
}

function decryptCase(key: KeyObject, keyring: Keyring, plaintext: readonly Buffer[], sealed: readonly Buffer[]): Case {
  return {
    name: 'decrypt',
    bytes: BYTES,
    contenders: [
      { name: 'raw AES-GCM', role: 'baseline', expected: BYTES, run: () => rawDecrypt(key, plaintext) },
      {
        name: 'node stream',
        role: 'subject',
        maxRatio: MAX_RATIO,
        expected: BYTES,
        run: () => bytesThroughNode(sealed, node.decryptStream(keyring, { context: context() })),
      },
      {
        name: 'web stream',
        role: 'subject',
        maxRatio: MAX_RATIO,
        expected: BYTES,
        run: () => bytesThroughWeb(sealed, web.decryptStream(keyring, { context: context() })),
      },
    ],
  };
}

function rawEncrypt(key: KeyObject, pieces: readonly Buffer[]): number {
  const cipher = createCipheriv('aes-256-gcm', key, NONCE);
  let bytes = 0;
  for (const piece of pieces) bytes += cipher.update(piece).length;
  cipher.final();
  return bytes + cipher.getAuthTag().length - 16;
}

function rawPieces(key: KeyObject, pieces: readonly Buffer[]): number {
  let bytes = 0;
  for (const piece of pieces) {
    const cipher = createCipheriv('aes-256-gcm', key, NONCE, { authTagLength: 16 });
    cipher.setAAD(ASSOCIATED_DATA);
    bytes += cipher.update(piece).length;
    cipher.final();
    bytes += cipher.getAuthTag().length;
  }
  return bytes;
}

/** Any bytes will do for ciphertext: the cipher does the same work, and its verdict comes after it. */
function rawDecrypt(key: KeyObject, pieces: readonly Buffer[]): number {
  const decipher = createDecipheriv('aes-256-gcm', key, NONCE);
  let bytes = 0;
  for (const piece of pieces) bytes += decipher.update(piece).length;
  return bytes;
}

async function sealedOf(keyring: Keyring, plaintext: readonly Buffer[]): Promise<Buffer> {
  const stream = node.encryptStream(keyring, { context: context() });
  const [pieces] = await Promise.all([stream.toArray(), bytesInto(stream, plaintext)]);
  return Buffer.concat(pieces as Buffer[]);
}

async function bytesInto(stream: NodeJS.WritableStream, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) stream.write(piece);
  stream.end();
}

function context(): Record<string, string> {
  return { table: 'files', column: 'content', tenant: 'acme', id: '42' };
}

function cut(bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) pieces.push(bytes.subarray(at, at + PIECE_BYTES));
  return pieces;
}
