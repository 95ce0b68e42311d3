import { constants, createPublicKey, type JsonWebKey, verify, webcrypto } from 'node:crypto';
import { expect } from 'vitest';
import type { SignAlg } from '../algorithms.ts';

// Kept apart from ../algorithms.ts on purpose: a wrong row there must not verify its own signatures.
const HASHES: Readonly<Record<SignAlg, string | null>> = {
  ES256: 'SHA-256',
  ES384: 'SHA-384',
  ES512: 'SHA-512',
  EdDSA: null,
  RS256: 'SHA-256',
  RS384: 'SHA-384',
  RS512: 'SHA-512',
  PS256: 'SHA-256',
  PS384: 'SHA-384',
  PS512: 'SHA-512',
};
const ECDSA_BYTES: Readonly<Partial<Record<SignAlg, number>>> = { ES256: 64, ES384: 96, ES512: 132 };
const CURVES: Readonly<Partial<Record<SignAlg, string>>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

/** Bytes that a signature has. RSA: of the keys that providers make, and of imported ones. */
export function lengthsOf(alg: SignAlg): readonly number[] {
  if (alg === 'EdDSA') return [64];
  const size = ECDSA_BYTES[alg];
  return size === undefined ? [256, 384, 512] : [size];
}

/** Whether `node:crypto` takes the signature for one of `data` by the key. */
export function isSignatureOf(alg: SignAlg, jwk: JsonWebKey, data: Uint8Array, signature: Uint8Array): boolean {
  const key = createPublicKey({ format: 'jwk', key: jwk });
  const hash = HASHES[alg]?.replace('-', '').toLowerCase() ?? null;
  if (alg.startsWith('ES')) return verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature);
  if (!alg.startsWith('PS')) return verify(hash, data, key, signature);
  const saltLength = Number(alg.slice(2)) / 8;
  return verify(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, signature);
}

/** Expects that both `node:crypto` and Web Crypto take the signature, and neither takes it for other data. */
export async function expectSignature(
  alg: SignAlg,
  jwk: JsonWebKey,
  data: Uint8Array,
  signature: Uint8Array,
): Promise<void> {
  expect(signature).toBeInstanceOf(Uint8Array);
  expect(lengthsOf(alg), 'length of the signature').toContain(signature.byteLength);
  const other = Buffer.concat([data, Buffer.of(0)]);
  expect(isSignatureOf(alg, jwk, data, signature), 'verified by node:crypto').toBe(true);
  expect(isSignatureOf(alg, jwk, other, signature), 'of other data').toBe(false);
  const { importParams, verifyParams } = webParams(alg);
  const { kty, crv, x, y, n, e } = jwk;
  const members = JSON.parse(JSON.stringify({ kty, crv, x, y, n, e })) as JsonWebKey;
  const key = await webcrypto.subtle.importKey('jwk', members as never, importParams, false, ['verify']);
  expect(await webcrypto.subtle.verify(verifyParams, key, signature, data), 'verified by Web Crypto').toBe(true);
  expect(await webcrypto.subtle.verify(verifyParams, key, signature, other), 'of other data').toBe(false);
}

type WebAlgorithm = Parameters<typeof webcrypto.subtle.verify>[0] & object;

function webParams(alg: SignAlg): { importParams: WebAlgorithm & { name: string }; verifyParams: WebAlgorithm } {
  const hash = HASHES[alg];
  if (hash === null) return { importParams: { name: 'Ed25519' }, verifyParams: { name: 'Ed25519' } };
  const namedCurve = CURVES[alg];
  if (namedCurve !== undefined) {
    const importParams = { name: 'ECDSA', namedCurve };
    return { importParams, verifyParams: { name: 'ECDSA', hash } as never };
  }
  const name = alg.startsWith('PS') ? 'RSA-PSS' : 'RSASSA-PKCS1-v1_5';
  const saltLength = Number(alg.slice(2)) / 8;
  return { importParams: { name, hash } as never, verifyParams: { name, saltLength } as never };
}
