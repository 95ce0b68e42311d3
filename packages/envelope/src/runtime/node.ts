import { Buffer, isUtf8 } from 'node:buffer';
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
export { Buffer, isUtf8, timingSafeEqual };
export const isMap: typeof types.isMap = types.isMap;
export const isPromise: typeof types.isPromise = types.isPromise;
export const isProxy: typeof types.isProxy = types.isProxy;
export const isSet: typeof types.isSet = types.isSet;
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

/** Decodes leniently into the first `length` bytes of `target`; returns the number of bytes written. */
export function writeBase64Url(text: string, target: Buffer, length: number): number {
  return target.write(text, 0, length, 'base64url');
}

export const environment: Readonly<Record<string, string | undefined>> = process.env;
