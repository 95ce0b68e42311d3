import { readFileSync } from 'node:fs';
import { createKeyring, type Keyring } from '../../src/keyring.ts';
import { loadLibsodium } from '../../src/libsodium.ts';
import { ChunkOpener } from '../../src/stream/opener.ts';
import { xchacha20Poly1305 } from '../../src/xchacha20-poly1305.ts';

// What the fuzzer begins with: the frozen vectors that open, of every form and suite, so that a seed makes the same inputs
// on every machine.

export type Target = 'object' | 'text' | 'bytes' | 'stream';
export type Input = unknown;

/** An input that opens, and what it holds. */
export interface Genuine {
  readonly input: Input;
  readonly plaintext: string;
}

interface Vector {
  readonly context: Readonly<Record<string, string>>;
  readonly value?: unknown;
  readonly plaintext?: string;
  readonly envelope: unknown;
}

const CONTEXT = { tenant: 'acme' };
const STREAM_CONTEXT = { tenant: 'acme', id: '42' };
const { secretbox } = await loadLibsodium();
const { keys } = read('v2-object');
const reader: Keyring = createKeyring({ keys, activeKid: 'v1', suites: [xchacha20Poly1305, secretbox] });

export const GENUINE: Readonly<Record<Target, readonly Genuine[]>> = {
  object: vectors('object').map(({ value, envelope }) => ({ input: envelope, plaintext: JSON.stringify(value) })),
  text: vectors('text').map(({ plaintext = '', envelope }) => ({ input: envelope, plaintext })),
  bytes: vectors('bytes').map(ofBytes),
  stream: read('v2-stream').vectors.map(ofBytes),
};

/** Opens an input as its target does, the stream in pieces; returns what came out, bytes as hex. */
export function openAs(target: Target, input: Input, pieces: () => number): string {
  const options = { context: CONTEXT };
  if (target === 'object') return JSON.stringify(reader.decrypt(input, options));
  if (target === 'text') return reader.decryptText(input as string, options);
  if (target === 'bytes') return hex(reader.decryptBytes(input as Uint8Array, options));
  return hex(readStream(Buffer.from(input as Uint8Array), pieces));
}

function readStream(input: Buffer, pieces: () => number): Buffer {
  const machine = new ChunkOpener(reader, { context: STREAM_CONTEXT });
  const out: Uint8Array[] = [];
  const drain = (): void => {
    for (let piece = machine.next(); piece !== undefined; piece = machine.next()) out.push(piece);
  };
  for (let at = 0; at < input.length; ) {
    const length = pieces();
    machine.feed(input.subarray(at, at + length));
    drain();
    at += length;
  }
  machine.end();
  drain();
  return Buffer.concat(out);
}

function vectors(form: string): Vector[] {
  const all = ['v2', 'v2-xc20p', 'v2-xs20p'].flatMap((name) => read(`${name}-${form}`).vectors);
  return all.filter(({ context }) => JSON.stringify(context) === JSON.stringify(CONTEXT));
}

function ofBytes({ plaintext = '', envelope }: Vector): Genuine {
  return { input: Buffer.from(envelope as string, 'hex'), plaintext };
}

function read(name: string): { readonly keys: Readonly<Record<string, string>>; readonly vectors: readonly Vector[] } {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8'));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
