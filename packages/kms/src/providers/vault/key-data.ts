import { createPublicKey, type JsonWebKey } from 'node:crypto';
import type { SignAlg } from '../../algorithms.ts';
import { KmsError } from '../../errors.ts';
import type { JsonAnswer } from '../../internal/json-http.ts';
import { dataOf } from './client.ts';
import { isTypeOf } from './key-types.ts';
import { invalidResponse } from './refusal.ts';

const BASE64 = /^[A-Za-z0-9+/]{43}=$/;

/**
 * The public key of one version, of a key that is what its record says.
 * @throws KmsError `ERR_KMS_KEY_NOT_FOUND` if there is no such version, `ERR_KMS_KEY_NOT_USABLE` for a key of another
 * type
 */
export function publicKeyIn(answer: JsonAnswer, alg: SignAlg, version: string): JsonWebKey {
  const { type, derived, keys } = dataOf(answer);
  if (typeof type !== 'string' || typeof keys !== 'object' || keys === null) throw invalidResponse(answer, 'a key');
  // A derived key has another public key for every context.
  if (!isTypeOf(alg, type) || derived !== false) {
    throw new KmsError('ERR_KMS_KEY_NOT_USABLE', { context: { alg, expected: `a key for ${alg}` } });
  }
  if (!Object.hasOwn(keys, version)) throw new KmsError('ERR_KMS_KEY_NOT_FOUND', { context: { version } });
  const { public_key: publicKey } = Object((keys as Record<string, unknown>)[version]) as { public_key?: unknown };
  if (typeof publicKey !== 'string') throw invalidResponse(answer, 'a public key');
  if (alg === 'EdDSA') {
    if (!BASE64.test(publicKey)) throw invalidResponse(answer, 'a public key of 32 bytes in base64');
    return { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey, 'base64').toString('base64url') };
  }
  try {
    return createPublicKey({ key: publicKey, format: 'pem' }).export({ format: 'jwk' });
  } catch {
    throw invalidResponse(answer, 'a public key in PEM');
  }
}

/** A key that was just made: it cannot leave, and is in its first version. @throws KmsError `ERR_KMS_INVALID_RESPONSE` */
export function checkCustody(answer: JsonAnswer): void {
  const { exportable, allow_plaintext_backup: backup, latest_version: latest } = dataOf(answer);
  if (exportable === false && backup === false && latest === 1) return;
  throw invalidResponse(answer, 'a key in its first version that cannot be exported');
}
