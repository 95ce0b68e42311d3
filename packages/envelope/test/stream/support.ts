import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Keyring } from '@keywright/envelope';
import * as node from '@keywright/envelope/node-stream';
import * as web from '@keywright/envelope/stream';
import { ChunkOpener } from '../../src/stream/opener.ts';

export type Context = Readonly<Record<string, string>>;

/** One of the two implementations, as a function from pieces to pieces. */
export interface Driver {
  readonly name: string;
  encrypt(keyring: Keyring, options: web.EncryptStreamOptions, pieces: Iterable<Uint8Array>): Promise<Uint8Array[]>;
  /** @param out takes the pieces that come before an error too */
  decrypt(
    keyring: Keyring,
    options: web.DecryptStreamOptions,
    pieces: Iterable<Uint8Array>,
    out?: Uint8Array[],
  ): Promise<Uint8Array[]>;
}

async function throughWeb(
  pair: web.ByteStreamPair,
  pieces: Iterable<Uint8Array>,
  out: Uint8Array[] = [],
): Promise<Uint8Array[]> {
  for await (const piece of ReadableStream.from(pieces).pipeThrough(pair)) out.push(piece);
  return out;
}

async function throughNode(
  duplex: ReturnType<typeof node.encryptStream>,
  pieces: Iterable<Uint8Array>,
  out: Uint8Array[] = [],
): Promise<Uint8Array[]> {
  await pipeline(Readable.from(pieces, { objectMode: true }), duplex, async (source: AsyncIterable<unknown>) => {
    for await (const piece of source) out.push(piece as Uint8Array);
  });
  return out;
}

export const WEB: Driver = {
  name: 'web',
  encrypt: (keyring, options, pieces) => throughWeb(web.encryptStream(keyring, options), pieces),
  decrypt: (keyring, options, pieces, out) => throughWeb(web.decryptStream(keyring, options), pieces, out),
};

export const NODE: Driver = {
  name: 'node',
  encrypt: (keyring, options, pieces) => throughNode(node.encryptStream(keyring, options), pieces),
  decrypt: (keyring, options, pieces, out) => throughNode(node.decryptStream(keyring, options), pieces, out),
};

export const DRIVERS: readonly Driver[] = [WEB, NODE];

/** Decrypts without a stream around it, for the many thousand cases of a sweep. */
export function openAtOnce(keyring: Keyring, context: Context, stream: Uint8Array): Buffer {
  const opener = new ChunkOpener(keyring as never, { context }); // the sources' class, by its built types
  const out: Uint8Array[] = [];
  const drain = (): void => {
    for (let piece = opener.next(); piece !== undefined; piece = opener.next()) out.push(piece);
  };
  opener.feed(Buffer.from(stream));
  drain();
  opener.end();
  drain();
  return Buffer.concat(out);
}

export async function all(source: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const out: Uint8Array[] = [];
  for await (const piece of source) out.push(piece);
  return out;
}

/** What a promise is rejected with; one that is fulfilled fails the test. */
export async function rejection(work: Promise<unknown>): Promise<Error & { code?: string }> {
  try {
    await work;
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected an error');
}

/** Where the first chunk begins. */
export function bodyAt(stream: Uint8Array): number {
  return 10 + (stream[9] ?? 0) + 16 + (stream[4] === 1 ? 7 : 19) + 32;
}

/** Header and chunks of a stream. */
export function dissect(stream: Uint8Array, chunkBytes: number): { header: Buffer; chunks: Buffer[] } {
  const bytes = Buffer.from(stream);
  const chunks: Buffer[] = [];
  for (let at = bodyAt(stream); at < bytes.length; at += chunkBytes + 16) {
    chunks.push(bytes.subarray(at, at + chunkBytes + 16));
  }
  return { header: bytes.subarray(0, bodyAt(stream)), chunks };
}
