/**
 * Envelope v1 and v2 (all suites; object form with type `json`, text form with type `text`, bytes form with type
 * `bytes`) on pure-JavaScript primitives. Written from the specification page alone; shares no code with the package.
 * For interoperability tests, not for production.
 */
import { gcm } from '@noble/ciphers/aes.js';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Context = Readonly<Record<string, string>>;
export type SuiteName = 'A256GCM' | 'XC20P' | 'XS20P';
export type Type = 'json' | 'text' | 'bytes';
export interface Envelope<Version extends 1 | 2> {
  __enc: Version;
  alg?: string;
  kid: string;
  iv: string;
  ct: string;
}
interface Sealed {
  iv: Uint8Array;
  ct: Uint8Array;
}
/** What a message is made of, apart from its plaintext. */
export interface Message {
  suite: SuiteName;
  key: Uint8Array;
  kid: string;
  type: Type;
  context: Context;
}
/** Every value on the way from a key and a message to its `iv` and `ct`. */
export interface Steps extends Sealed {
  associatedData: Uint8Array;
  info: Uint8Array;
  messageKey: Uint8Array;
  commitment: Uint8Array;
}

const LABEL = 'keywright/2';
const SUITES: Readonly<Record<SuiteName, { code: number; nonce: number }>> = {
  A256GCM: { code: 1, nonce: 12 },
  XC20P: { code: 2, nonce: 24 },
  XS20P: { code: 3, nonce: 24 },
};
const MAGIC: readonly number[] = [0x4b, 0x57, 0x02]; // "KW", version 2
const SALT = 16;
const NONCE_V1 = 12;
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

function toBase64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}

function fromBase64Url(text: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'));
  check(toBase64Url(bytes) === text, 'not canonical base64url');
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

function pae(...parts: (string | Uint8Array)[]): Uint8Array {
  const encoded = parts.map((part) => (typeof part === 'string' ? utf8(part) : part));
  return concat(le64(encoded.length), ...encoded.flatMap((part) => [le64(part.length), part]));
}

function associatedData({ suite, kid, type, context }: Message): Uint8Array {
  check(typeof context === 'object' && context !== null && !Array.isArray(context), 'no context');
  const pairs = Object.entries(context).sort(([a], [b]) => Buffer.compare(utf8(a), utf8(b)));
  return pae(LABEL, suite, kid, type, ...pairs.flat());
}

/** XSalsa20-Poly1305 has no associated data: they go into the derivation of its key. */
function derive(message: Message, salt: Uint8Array): Omit<Steps, keyof Sealed> {
  const { suite, key, kid } = message;
  checkKey(key);
  checkKid(kid);
  const ad = associatedData(message);
  const info = suite === 'XS20P' ? pae(LABEL, suite, kid, sha512(ad)) : pae(LABEL, suite, kid);
  const okm = hkdf(sha512, key, salt, info, 64);
  return { associatedData: ad, info, messageKey: okm.slice(0, 32), commitment: okm.slice(32) };
}

/** Tag after ciphertext, but before it in XS20P: so the library has it. */
function aead(suite: SuiteName, key: Uint8Array, nonce: Uint8Array, ad: Uint8Array) {
  if (suite === 'A256GCM') return gcm(key, nonce, ad);
  return suite === 'XC20P' ? xchacha20poly1305(key, nonce, ad) : xsalsa20poly1305(key, nonce);
}

/** Encrypts under a given salt and nonce: for vectors that show each step. */
export function sealWith(message: Message, salt: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Steps {
  const steps = derive(message, salt);
  const sealed = aead(message.suite, steps.messageKey, nonce, steps.associatedData).encrypt(plaintext);
  return { ...steps, iv: concat(salt, nonce), ct: concat(steps.commitment, sealed) };
}

function seal(message: Message, plaintext: Uint8Array): Sealed {
  return sealWith(message, random(SALT), random(SUITES[message.suite].nonce), plaintext);
}

function open(message: Message, { iv, ct }: Sealed): Uint8Array {
  const { suite } = message;
  check(iv.length === SALT + SUITES[suite].nonce && ct.length >= COMMITMENT + TAG, 'malformed envelope');
  const { messageKey, commitment, associatedData: ad } = derive(message, iv.slice(0, SALT));
  check(equal(commitment, ct.slice(0, COMMITMENT)), 'commitment mismatch');
  return aead(suite, messageKey, iv.slice(SALT), ad).decrypt(ct.slice(COMMITMENT));
}

function suiteOf(name: string): SuiteName {
  check(Object.hasOwn(SUITES, name), 'unknown suite');
  return name as SuiteName;
}

function readObject(version: 1 | 2, envelope: Envelope<1 | 2>): Sealed {
  const members = Object.hasOwn(envelope, 'alg') ? '__enc,alg,ct,iv,kid' : '__enc,ct,iv,kid';
  check(Object.keys(envelope).sort().join() === members, 'unexpected members');
  check(envelope.__enc === version && envelope.alg !== 'A256GCM', 'unexpected version or suite');
  checkKid(envelope.kid);
  return { iv: fromBase64(envelope.iv), ct: fromBase64(envelope.ct) };
}

export function encryptV1(key: Uint8Array, kid: string, value: Json): Envelope<1> {
  checkKey(key);
  checkKid(kid);
  const nonce = random(NONCE_V1);
  return { __enc: 1, kid, iv: toBase64(nonce), ct: toBase64(gcm(key, nonce).encrypt(toJson(value))) };
}

export function decryptV1(key: Uint8Array, envelope: Envelope<1>): Json {
  checkKey(key);
  const { iv, ct } = readObject(1, envelope);
  check(!Object.hasOwn(envelope, 'alg') && iv.length === NONCE_V1 && ct.length >= TAG, 'malformed envelope');
  return fromJson(gcm(key, iv).decrypt(ct));
}

export function encryptV2(
  key: Uint8Array,
  kid: string,
  context: Context,
  value: Json,
  suite: SuiteName = 'A256GCM',
): Envelope<2> {
  const { iv, ct } = seal({ suite, key, kid, type: 'json', context }, toJson(value));
  const parts = { kid, iv: toBase64(iv), ct: toBase64(ct) };
  return suite === 'A256GCM' ? { __enc: 2, ...parts } : { __enc: 2, alg: suite, ...parts };
}

export function decryptV2(key: Uint8Array, envelope: Envelope<2>, context: Context): Json {
  const sealed = readObject(2, envelope);
  const suite = Object.hasOwn(envelope, 'alg') ? suiteOf(String(envelope.alg)) : 'A256GCM';
  return fromJson(open({ suite, key, kid: envelope.kid, type: 'json', context }, sealed));
}

export function encryptV2Text(
  key: Uint8Array,
  kid: string,
  context: Context,
  text: string,
  suite: SuiteName = 'A256GCM',
): string {
  const { iv, ct } = seal({ suite, key, kid, type: 'text', context }, utf8(text));
  return ['kw2', suite, kid, toBase64Url(iv), toBase64Url(ct)].join('.');
}

export function decryptV2Text(key: Uint8Array, token: string, context: Context): string {
  const parts = token.split('.');
  const [version, name = '', kid = '', iv = '', ct = ''] = parts;
  check(version === 'kw2' && parts.length === 5, 'not a text token');
  const sealed = { iv: fromBase64Url(iv), ct: fromBase64Url(ct) };
  const bytes = open({ suite: suiteOf(name), key, kid, type: 'text', context }, sealed);
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
}

export function encryptV2Bytes(
  key: Uint8Array,
  kid: string,
  context: Context,
  bytes: Uint8Array,
  suite: SuiteName = 'A256GCM',
): Uint8Array {
  const { iv, ct } = seal({ suite, key, kid, type: 'bytes', context }, bytes);
  return concat(Uint8Array.from([...MAGIC, SUITES[suite].code, kid.length]), utf8(kid), iv, ct);
}

export function decryptV2Bytes(key: Uint8Array, bytes: Uint8Array, context: Context): Uint8Array {
  check(
    MAGIC.every((byte, index) => bytes[index] === byte),
    'not a bytes envelope',
  );
  const [name = ''] = Object.entries(SUITES).find(([, { code }]) => code === bytes[MAGIC.length]) ?? [];
  const suite = suiteOf(name);
  const kidAt = MAGIC.length + 2;
  const ivAt = kidAt + (bytes[MAGIC.length + 1] ?? 0);
  const ctAt = ivAt + SALT + SUITES[suite].nonce;
  const kid = String.fromCharCode(...bytes.subarray(kidAt, ivAt));
  return open({ suite, key, kid, type: 'bytes', context }, { iv: bytes.slice(ivAt, ctAt), ct: bytes.slice(ctAt) });
}

/** The check value of a key. */
export function checkValue(key: Uint8Array): Uint8Array {
  return hmac(sha256, key, utf8('keywright/check-value')).slice(0, 8);
}

/** `keyring.mac()`. */
export function mac(
  key: Uint8Array,
  kid: string,
  purpose: string,
  parts: readonly (string | Uint8Array)[],
): Uint8Array {
  const macKey = hkdf(sha512, key, new Uint8Array(0), pae('keywright/mac', kid, purpose), 32);
  return hmac(sha256, macKey, pae(...parts));
}
