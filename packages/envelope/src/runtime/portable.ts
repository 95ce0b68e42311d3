import { hkdf } from '@noble/hashes/hkdf.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256, sha512 as sha512Hash } from '@noble/hashes/sha2.js';
import { Buffer } from 'buffer/index.js';

// The sibling of node.ts for browsers, workers and other runtimes without `node:crypto`: the same names, computed by
// @noble and the platform's own random generator.

export { A256GCM } from '../suites/a256gcm-noble.ts';
export { Buffer };

const MAX_RANDOM_BYTES = 65_536; // the most that crypto.getRandomValues gives at once

/** A key that does not show itself: no property, no JSON, no inspection gives its bytes. */
export class SecretKey {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = Uint8Array.from(bytes);
  }

  static bytesOf(key: SecretKey): Uint8Array {
    return key.#bytes;
  }
}

export function secretKey(bytes: Uint8Array): SecretKey {
  return new SecretKey(bytes);
}

export function exportKey(key: SecretKey): Buffer {
  const copy = Buffer.alloc(SecretKey.bytesOf(key).length);
  copy.set(SecretKey.bytesOf(key));
  return copy;
}

export function sameKey(a: SecretKey, b: SecretKey): boolean {
  return timingSafeEqual(SecretKey.bytesOf(a), SecretKey.bytesOf(b));
}

export function hkdfSha512(key: SecretKey, salt: Uint8Array, info: Uint8Array, length: number): Buffer {
  return asBuffer(hkdf(sha512Hash, SecretKey.bytesOf(key), salt, info, length));
}

export function hmacSha256(key: SecretKey, data: string | Uint8Array): Buffer {
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
  return asBuffer(hmac(sha256, SecretKey.bytesOf(key), bytes));
}

export function sha512(data: Uint8Array): Buffer {
  return asBuffer(sha512Hash(data));
}

// Counted: the polyfill of Buffer encodes a text into an array of numbers to tell.
export function utf8Length(text: string): number {
  let length = text.length;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code <= 0x7f) continue;
    // Half of a pair counts for two bytes of its four.
    length += code <= 0x7ff || (code >= 0xd800 && code <= 0xdfff) ? 1 : 2;
  }
  return length;
}

export const ASCII_ROOM = 4;

export function isAsciiText(text: string, _scratch: Buffer, _offset: number): boolean {
  return utf8Length(text) === text.length;
}

export function fillRandom<T extends Uint8Array>(target: T): T {
  for (let at = 0; at < target.length; at += MAX_RANDOM_BYTES) {
    crypto.getRandomValues(target.subarray(at, at + MAX_RANDOM_BYTES) as Uint8Array<ArrayBuffer>);
  }
  return target;
}

export function timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) throw new RangeError('Input buffers must have the same byte length');
  let difference = 0;
  for (let index = 0; index < a.length; index++) difference |= (a[index] as number) ^ (b[index] as number);
  return difference === 0;
}

export function utf8Text(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

// Brands that no object can fake: the getter reads an internal slot.
const typedArrayName = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype) as object,
  Symbol.toStringTag,
)?.get as () => string | undefined;
const mapSize = Object.getOwnPropertyDescriptor(Map.prototype, 'size')?.get as () => number;
const setSize = Object.getOwnPropertyDescriptor(Set.prototype, 'size')?.get as () => number;
// A page without cross-origin isolation has no shared memory, nor a name for it.
const sharedLength =
  typeof SharedArrayBuffer === 'undefined'
    ? undefined
    : (Object.getOwnPropertyDescriptor(SharedArrayBuffer.prototype, 'byteLength')?.get as () => number);

export function isSharedMemory(value: unknown): value is SharedArrayBuffer {
  return sharedLength !== undefined && answers(sharedLength, value);
}

export function isUint8Array(value: unknown): value is Uint8Array {
  return typedArrayName.call(value) === 'Uint8Array';
}

export function isMap(value: unknown): value is Map<unknown, unknown> {
  return answers(mapSize, value);
}

export function isSet(value: unknown): value is Set<unknown> {
  return answers(setSize, value);
}

export function isPromise(value: unknown): value is Promise<unknown> {
  return value instanceof Promise;
}

/** Nothing tells a proxy here; only texts of errors would. */
export function isProxy(_value: unknown): boolean {
  return false;
}

/** There are no start-up snapshots here. */
export function beforeSnapshot(_callback: () => void): void {}

export function toBase64Url(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('base64', start, end).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

// The polyfill knows no base64url, but takes both alphabets for base64.
export function writeBase64Url(text: string, target: Buffer, offset: number, length: number): number {
  return target.write(text, offset, length, 'base64');
}

export const environment: Readonly<Record<string, string | undefined>> =
  (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env ?? {};

function answers(getter: () => unknown, value: unknown): boolean {
  try {
    getter.call(value);
    return true;
  } catch {
    return false;
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
}
