import { isUint8Array } from 'node:util/types';
import { checkAlg, checkKeyId, invalidArgument, kindOf, MAX_DATA_BYTES, readOptions } from './arguments.ts';
import { isPlainObject, type PlainObject, plainCopy } from './internal/plain-json.ts';
import type { PublicJwk } from './jwk.ts';
import type { CallOptions, KmsKeyRef } from './provider.ts';

/** Members of a protected header beside `alg`, which is always the key's. */
export interface JwsHeader {
  /** @default the key's `keyId`; `null` for no `kid`, which some profiles want beside `jwk` or `x5c` */
  readonly kid?: string | null | undefined;
  readonly typ?: string | undefined;
  readonly cty?: string | undefined;
  /** Certificates in base64 of DER, the signer's first (RFC 7515, 4.1.6). */
  readonly x5c?: readonly string[] | undefined;
  readonly jwk?: PublicJwk | Readonly<Record<string, unknown>> | undefined;
  /** Plain JSON. Not `b64` or `crit`: no extension is written here. */
  readonly [member: string]: unknown;
}

export interface SignJwsOptions extends CallOptions {
  readonly header?: JwsHeader | undefined;
}

/** What signs with keys of a kind: a provider, or the keys of a tenant. */
export interface JwsSigner<Key extends KmsKeyRef = KmsKeyRef> {
  sign(key: Key, data: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
}

/** A JWS in flattened JSON serialisation (RFC 7515, 7.2.2), all of its header protected. */
export interface FlattenedJws {
  readonly payload: string;
  readonly protected: string;
  readonly signature: string;
}

const MAX_HEADER_LENGTH = 64 * 1024;
const MAX_MEMBER_LENGTH = 1_024;
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/**
 * Signs a JWS in compact serialisation (RFC 7515).
 *
 * @param signer the key's provider, or `keys.tenant(…)`
 * @param payload a string is taken as UTF-8
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT` for a header that names another `alg`, has `b64` or `crit`, holds a private
 * key, or is not plain JSON of at most 64 Ki characters; and as the signer's `sign`
 *
 * @example
 * ```ts
 * import { type KmsKey, type KmsProvider, signJws } from '@keywright/kms';
 *
 * export const statement = (provider: KmsProvider, key: KmsKey): Promise<string> =>
 *   signJws(provider, key, JSON.stringify({ sub: 'acme' }), { header: { typ: 'JWT' } });
 * ```
 */
export async function signJws<Key extends KmsKeyRef>(
  signer: JwsSigner<NoInfer<Key>>,
  key: Key,
  payload: Uint8Array | string,
  options?: SignJwsOptions,
): Promise<string> {
  const jws = await signJwsFlattened(signer, key, payload, options);
  return `${jws.protected}.${jws.payload}.${jws.signature}`;
}

/** Signs a JWS in flattened JSON serialisation. Throws as {@link signJws} does. */
export async function signJwsFlattened<Key extends KmsKeyRef>(
  signer: JwsSigner<NoInfer<Key>>,
  key: Key,
  payload: Uint8Array | string,
  options?: SignJwsOptions,
): Promise<FlattenedJws> {
  const { header, ...call } = readOptions(options, 'options', (given) => ({ ...given }));
  const encoded = { payload: encodePayload(payload), protected: encodeHeader(key, header) };
  const signed = Buffer.from(`${encoded.protected}.${encoded.payload}`, 'ascii');
  const signature = await signer.sign(key, signed, call);
  return Object.freeze({ ...encoded, signature: base64url(signature) });
}

function encodePayload(payload: unknown): string {
  const expected = `a Uint8Array or a well-formed string, of at most ${MAX_DATA_BYTES} bytes`;
  const isText = typeof payload === 'string';
  if (!isText && !isUint8Array(payload)) throw invalidArgument('payload', expected, kindOf(payload));
  // Looked at first: encoding what no signer takes could exhaust the memory.
  if (payload.length > MAX_DATA_BYTES) throw invalidArgument('payload', expected, `a length of ${payload.length}`);
  if (!isText) return base64url(payload);
  if (!payload.isWellFormed()) throw invalidArgument('payload', expected, 'text that is not well-formed');
  return Buffer.from(payload, 'utf8').toString('base64url');
}

function encodeHeader(key: KmsKeyRef, given: JwsHeader | undefined): string {
  const alg = checkAlg(key?.alg, 'key.alg');
  const { alg: _, kid, ...members } = checkHeader(alg, given ?? {});
  const named = kid === null ? {} : { kid: kid ?? checkKeyId(key.keyId, 'key.keyId') };
  return Buffer.from(JSON.stringify({ alg, ...named, ...members }), 'utf8').toString('base64url');
}

/** @throws KmsError `ERR_KMS_INVALID_ARGUMENT`, naming the member and not its value */
function checkHeader(alg: string, given: unknown): PlainObject {
  const read = isPlainObject(given) ? plainCopy(given, MAX_HEADER_LENGTH) : { refused: kindOf(given) };
  if ('refused' in read) throw invalidArgument('header', 'a plain object of JSON', read.refused);
  const { copy } = read;
  const refuse = (member: string, expected: string): Error =>
    invalidArgument(`header.${member}`, expected, kindOf(copy[member]));
  if (copy.alg !== undefined && copy.alg !== alg) throw refuse('alg', `the key's, ${alg}, or none`);
  for (const member of ['b64', 'crit']) {
    if (Object.hasOwn(copy, member)) throw refuse(member, 'none: no extension is written here');
  }
  for (const member of ['kid', 'typ', 'cty', 'x5t', 'x5t#S256', 'x5u', 'jku']) {
    const value = copy[member];
    if (value === undefined || (member === 'kid' && value === null)) continue;
    if (typeof value !== 'string' || value === '' || value.length > MAX_MEMBER_LENGTH) {
      throw refuse(member, `a string of 1 to ${MAX_MEMBER_LENGTH} characters`);
    }
  }
  const { jwk, x5c } = copy;
  if (jwk !== undefined && (!isPlainObject(jwk) || PRIVATE_MEMBERS.some((member) => Object.hasOwn(jwk, member)))) {
    throw refuse('jwk', 'a public key');
  }
  if (x5c !== undefined && !isCertificates(x5c)) throw refuse('x5c', 'certificates in base64 of DER');
  return copy;
}

function isCertificates(x5c: unknown): boolean {
  const isBase64 = (text: unknown): boolean => typeof text === 'string' && /^[A-Za-z0-9+/]+={0,2}$/.test(text);
  return Array.isArray(x5c) && x5c.length > 0 && x5c.every(isBase64);
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}
