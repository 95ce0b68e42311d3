/**
 * Envelope v1 and v2 (A256GCM: object form with type `json`, bytes form with type `bytes`) on pure-JavaScript
 * primitives. Written from the specification page alone; shares no code with the package. For interoperability tests,
 * not for production.
 */
import { gcm } from '@noble/ciphers/aes.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha512 } from '@noble/hashes/sha2.js';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Context = Readonly<Record<string, string>>;
export interface Envelope<Version extends 1 | 2> {
  __enc: Version;
  kid: string;
  iv: string;
  ct: string;
}
interface Sealed {
  iv: Uint8Array;
  ct: Uint8Array;
}

const LABEL = 'keywright/2';
const SUITE = 'A256GCM';
const HEADER: readonly number[] = [0x4b, 0x57, 0x02, 0x01]; // "KW", version 2, suite 1 (A256GCM)
const SALT = 16;
const NONCE = 12;
const COMMITMENT = 32;
const TAG = 16;

function check(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

function random(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length));
}

function concat(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  a.forEach((byte, index) => {
    difference |= byte ^ (b[index] ?? 0);
  });
  return difference === 0;
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function fromBase64(text: string): Uint8Array {
  check(typeof text === 'string', 'not a string');
  const bytes = new Uint8Array(Buffer.from(text, 'base64'));
  check(toBase64(bytes) === text, 'not canonical base64');
  return bytes;
}

function utf8(text: string): Uint8Array {
  check(typeof text === 'string' && text.isWellFormed(), 'not a well-formed string');
  return new TextEncoder().encode(text);
}

function toJson(value: Json): Uint8Array {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw new Error('not a JSON value');
  return utf8(text);
}

function fromJson(bytes: Uint8Array): Json {
  return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)) as Json;
}

function checkKey(key: Uint8Array): void {
  check(key.length === 32, 'key is not 32 bytes');
}

function checkKid(kid: string): void {
  check(typeof kid === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(kid), 'malformed kid');
}

function le64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

function pae(...parts: string[]): Uint8Array {
  const encoded = parts.map(utf8);
  return concat(le64(encoded.length), ...encoded.flatMap((part) => [le64(part.length), part]));
}

function associatedData(kid: string, type: 'json' | 'bytes', context: Context): Uint8Array {
  check(typeof context === 'object' && context !== null && !Array.isArray(context), 'no context');
  const pairs = Object.entries(context).sort(([a], [b]) => Buffer.compare(utf8(a), utf8(b)));
  return pae(LABEL, SUITE, kid, type, ...pairs.flat());
}

function derive(key: Uint8Array, kid: string, salt: Uint8Array): { messageKey: Uint8Array; commitment: Uint8Array } {
  checkKey(key);
  checkKid(kid);
  const okm = hkdf(sha512, key, salt, pae(LABEL, SUITE, kid), 64);
  return { messageKey: okm.slice(0, 32), commitment: okm.slice(32) };
}

function seal(key: Uint8Array, kid: string, type: 'json' | 'bytes', context: Context, plaintext: Uint8Array): Sealed {
  const salt = random(SALT);
  const nonce = random(NONCE);
  const { messageKey, commitment } = derive(key, kid, salt);
  const sealed = gcm(messageKey, nonce, associatedData(kid, type, context)).encrypt(plaintext);
  return { iv: concat(salt, nonce), ct: concat(commitment, sealed) };
}

function open(key: Uint8Array, kid: string, type: 'json' | 'bytes', context: Context, { iv, ct }: Sealed): Uint8Array {
  check(iv.length === SALT + NONCE && ct.length >= COMMITMENT + TAG, 'malformed envelope');
  const { messageKey, commitment } = derive(key, kid, iv.slice(0, SALT));
  check(equal(commitment, ct.slice(0, COMMITMENT)), 'commitment mismatch');
  return gcm(messageKey, iv.slice(SALT), associatedData(kid, type, context)).decrypt(ct.slice(COMMITMENT));
}

function readObject(version: 1 | 2, envelope: Envelope<1 | 2>): Sealed {
  check(Object.keys(envelope).sort().join() === '__enc,ct,iv,kid', 'unexpected members');
  check(envelope.__enc === version, 'unexpected version');
  checkKid(envelope.kid);
  return { iv: fromBase64(envelope.iv), ct: fromBase64(envelope.ct) };
}

export function encryptV1(key: Uint8Array, kid: string, value: Json): Envelope<1> {
  checkKey(key);
  checkKid(kid);
  const nonce = random(NONCE);
  return { __enc: 1, kid, iv: toBase64(nonce), ct: toBase64(gcm(key, nonce).encrypt(toJson(value))) };
}

export function decryptV1(key: Uint8Array, envelope: Envelope<1>): Json {
  checkKey(key);
  const { iv, ct } = readObject(1, envelope);
  check(iv.length === NONCE && ct.length >= TAG, 'malformed envelope');
  return fromJson(gcm(key, iv).decrypt(ct));
}

export function encryptV2(key: Uint8Array, kid: string, context: Context, value: Json): Envelope<2> {
  const { iv, ct } = seal(key, kid, 'json', context, toJson(value));
  return { __enc: 2, kid, iv: toBase64(iv), ct: toBase64(ct) };
}

export function decryptV2(key: Uint8Array, envelope: Envelope<2>, context: Context): Json {
  return fromJson(open(key, envelope.kid, 'json', context, readObject(2, envelope)));
}

export function encryptV2Bytes(key: Uint8Array, kid: string, context: Context, bytes: Uint8Array): Uint8Array {
  const { iv, ct } = seal(key, kid, 'bytes', context, bytes);
  return concat(Uint8Array.from([...HEADER, kid.length]), utf8(kid), iv, ct);
}

export function decryptV2Bytes(key: Uint8Array, bytes: Uint8Array, context: Context): Uint8Array {
  check(
    HEADER.every((byte, index) => bytes[index] === byte),
    'not an A256GCM bytes envelope',
  );
  const kidAt = HEADER.length + 1;
  const ivAt = kidAt + (bytes[HEADER.length] ?? 0);
  const ctAt = ivAt + SALT + NONCE;
  const kid = String.fromCharCode(...bytes.subarray(kidAt, ivAt));
  return open(key, kid, 'bytes', context, { iv: bytes.slice(ivAt, ctAt), ct: bytes.slice(ctAt) });
}
