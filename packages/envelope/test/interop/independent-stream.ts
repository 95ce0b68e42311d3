/**
 * The stream form on pure-JavaScript primitives, in one piece of memory. Written from the specification page alone;
 * shares no code with the package. For interoperability tests, not for production.
 */
import { gcm } from '@noble/ciphers/aes.js';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha512 } from '@noble/hashes/sha2.js';

export type Context = Readonly<Record<string, string>>;
export type StreamSuite = keyof typeof SUITES;

/** How a test departs from the specification, to see that the other side notices. */
export interface Departures {
  /** Ends with an empty chunk where the plaintext fills its last one. */
  emptyLast?: boolean;
}

const LABEL = 'keywright/2-stream';
const SUITES = {
  A256GCM: { code: 1, prefix: 7 },
  XC20P: { code: 2, prefix: 19 },
  XS20P: { code: 3, prefix: 19 },
} as const;
const TAG = 16;

function check(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

function concat(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function le(value: number, length: 4 | 8): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(value), true);
  return new Uint8Array(view.buffer, 0, length);
}

function pae(...parts: Uint8Array[]): Uint8Array {
  return concat(le(parts.length, 8), ...parts.flatMap((part) => [le(part.length, 8), part]));
}

function compare(a: Uint8Array, b: Uint8Array): number {
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

interface Keys {
  streamKey: Uint8Array;
  commitment: Uint8Array;
  ad: Uint8Array;
}

function derive(key: Uint8Array, suite: StreamSuite, kid: string, head: Uint8Array, context: Context): Keys {
  const pairs = Object.entries(context)
    .map(([name, value]) => [utf8(name), utf8(value)] as const)
    .sort(([a], [b]) => compare(a, b))
    .flat();
  const ad = pae(utf8(LABEL), head, ...pairs);
  const parts = [utf8(LABEL), utf8(suite), utf8(kid), head.slice(5, 9)];
  if (suite === 'XS20P') parts.push(sha512(ad));
  const saltAt = 10 + kid.length;
  const okm = hkdf(sha512, key, head.slice(saltAt, saltAt + 16), pae(...parts), 64);
  return { streamKey: okm.slice(0, 32), commitment: okm.slice(32), ad };
}

function aead(suite: StreamSuite, keys: Keys, prefix: Uint8Array, number: number, last: boolean) {
  const nonce = concat(prefix, le(number, 4).toReversed(), Uint8Array.of(last ? 1 : 0));
  if (suite === 'A256GCM') return gcm(keys.streamKey, nonce, keys.ad);
  if (suite === 'XC20P') return xchacha20poly1305(keys.streamKey, nonce, keys.ad);
  return xsalsa20poly1305(keys.streamKey, nonce); // noble's output is tag ‖ ciphertext
}

export function sealStream(
  key: Uint8Array,
  kid: string,
  suite: StreamSuite,
  context: Context,
  plaintext: Uint8Array,
  chunkBytes = 65_536,
  departures: Departures = {},
): Uint8Array {
  const { code, prefix: prefixLength } = SUITES[suite];
  const prefix = crypto.getRandomValues(new Uint8Array(prefixLength));
  const head = concat(
    Uint8Array.of(0x4b, 0x57, 0x53, 2, code),
    le(chunkBytes, 4),
    Uint8Array.of(kid.length),
    utf8(kid),
    crypto.getRandomValues(new Uint8Array(16)),
    prefix,
  );
  const keys = derive(key, suite, kid, head, context);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < plaintext.length; at += chunkBytes) chunks.push(plaintext.slice(at, at + chunkBytes));
  if (chunks.length === 0 || departures.emptyLast) chunks.push(new Uint8Array(0));
  const sealed = chunks.map((chunk, number) =>
    aead(suite, keys, prefix, number, number === chunks.length - 1).encrypt(chunk),
  );
  return concat(head, keys.commitment, ...sealed);
}

export function openStream(key: Uint8Array, kid: string, context: Context, sealed: Uint8Array): Uint8Array {
  const stream = Uint8Array.from(sealed);
  check(String(stream.slice(0, 4)) === '75,87,83,2', 'not a stream of version 2');
  const suite = (Object.keys(SUITES) as StreamSuite[]).find((name) => SUITES[name].code === stream[4]);
  if (suite === undefined) throw new Error('unknown suite');
  const chunkBytes = new DataView(stream.buffer).getUint32(5, true);
  check(chunkBytes >= 1024 && chunkBytes <= 1_048_576, 'chunk size');
  const saltAt = 10 + (stream[9] ?? 0);
  check(new TextDecoder().decode(stream.slice(10, saltAt)) === kid, 'another kid');
  const headLength = saltAt + 16 + SUITES[suite].prefix;
  const keys = derive(key, suite, kid, stream.slice(0, headLength), context);
  const bodyAt = headLength + 32;
  check(compare(stream.slice(headLength, bodyAt), keys.commitment) === 0, 'commitment');
  const prefix = stream.slice(saltAt + 16, headLength);
  const parts: Uint8Array[] = [];
  for (let at = bodyAt, number = 0; number === 0 || at < stream.length; number++) {
    const chunk = stream.slice(at, at + chunkBytes + TAG);
    at += chunk.length;
    const last = at === stream.length;
    check(!last || number === 0 || chunk.length > TAG, 'an empty chunk after others');
    parts.push(aead(suite, keys, prefix, number, last).decrypt(chunk));
  }
  return concat(...parts);
}
