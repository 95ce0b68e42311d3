import { Buffer, isAscii, isUtf8 } from 'node:buffer';
import {
  createHash,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomFillSync,
  timingSafeEqual,
} from 'node:crypto';
import { types } from 'node:util';
import { startupSnapshot } from 'node:v8';

// What the package needs of its runtime. portable.ts is its sibling for runtimes without these modules: the build puts
// it in this file's place behind the `default` condition of package.json, so the two export the same names.

export { A256GCM } from '../suites/a256gcm.ts';
export { Buffer, timingSafeEqual };
export const isMap: typeof types.isMap = types.isMap;
export const isPromise: typeof types.isPromise = types.isPromise;
export const isProxy: typeof types.isProxy = types.isProxy;
export const isSet: typeof types.isSet = types.isSet;
export const isSharedMemory: typeof types.isSharedArrayBuffer = types.isSharedArrayBuffer;
export const isUint8Array: typeof types.isUint8Array = types.isUint8Array;

/** A key that does not show itself: no property, no JSON, no inspection gives its bytes. */
export type SecretKey = KeyObject;

/** @param bytes copied: the caller wipes its own */
export function secretKey(bytes: Uint8Array): SecretKey {
  return createSecretKey(bytes);
}

/** The bytes of a key, in memory of their own that the caller wipes. */
export function exportKey(key: SecretKey): Buffer {
  return key.export();
}

export function sameKey(a: SecretKey, b: SecretKey): boolean {
  return a.equals(b);
}

/** HKDF (RFC 5869) with SHA-512, in memory of its own that the caller wipes. */
export function hkdfSha512(key: SecretKey, salt: Uint8Array, info: Uint8Array, length: number): Buffer {
  return Buffer.from(hkdfSync('sha512', key, salt, info, length));
}

export function hmacSha256(key: SecretKey, data: string | Uint8Array): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

export function sha512(data: Uint8Array): Buffer {
  return createHash('sha512').update(data).digest();
}

/** The text of UTF-8, or `undefined` if the bytes are anything else. */
export function utf8Text(bytes: Buffer): string | undefined {
  // What is all ASCII needs no decoding.
  if (isAscii(bytes)) return bytes.toString('latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : undefined;
}

/** Bytes of a well-formed text as UTF-8; a text that is not ASCII has more of them than characters. */
export const utf8Length: (text: string) => number = Buffer.byteLength;

/** Bytes of `scratch`, beyond the length of a text, with which {@link isAsciiText} is fast: the longest character. */
export const ASCII_ROOM = 4;

/** Whether a text is all ASCII. May overwrite what lies behind `offset` of `scratch`. */
export function isAsciiText(text: string, scratch: Buffer, offset: number): boolean {
  const room = text.length + ASCII_ROOM;
  if (room > scratch.length - offset) return utf8Length(text) === text.length;
  // Up to ten times faster than to count. Of a text that is not ASCII, more bytes than it has characters fit.
  return scratch.write(text, offset, room, 'utf8') === text.length;
}

export function fillRandom<T extends Uint8Array>(target: T): T {
  return randomFillSync(target);
}

/** Calls back before this heap is written to a start-up snapshot: processes made from one share what it holds. */
export function beforeSnapshot(callback: () => void): void {
  if (startupSnapshot.isBuildingSnapshot()) startupSnapshot.addSerializeCallback(callback);
}

/** Unpadded base64url (RFC 4648 section 5). */
export function toBase64Url(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('base64url', start, end);
}

/** Decodes leniently into `length` bytes of `target` at `offset`; returns the number of bytes written. */
export function writeBase64Url(text: string, target: Buffer, offset: number, length: number): number {
  return target.write(text, offset, length, 'base64url');
}

export const environment: Readonly<Record<string, string | undefined>> = process.env;
