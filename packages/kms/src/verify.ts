import { constants, createPublicKey, verify as verifyWith } from 'node:crypto';
import { SIGN_ALGORITHMS, type SignAlg } from './algorithms.ts';
import { type PublicJwk, publicJwkOf } from './jwk.ts';

/**
 * Whether `signature` (r ‖ s for ECDSA) is of `data` by the key: in this process, with no backend.
 * @throws KmsError `ERR_KMS_INVALID_RESPONSE` unless the key is one for `alg`
 */
export function verifySignature(alg: SignAlg, publicJwk: PublicJwk, data: Uint8Array, signature: Uint8Array): boolean {
  const algorithm = SIGN_ALGORITHMS[alg];
  const key = createPublicKey({ format: 'jwk', key: publicJwkOf(alg, { ...publicJwk }) });
  if (algorithm.kind === 'eddsa') return verifyWith(null, data, key, signature);
  if (algorithm.kind === 'ecdsa') {
    return (
      signature.byteLength === 2 * algorithm.size &&
      verifyWith(algorithm.hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature)
    );
  }
  const { hash, saltLength } = algorithm;
  if (algorithm.kind === 'rsa-pkcs1') return verifyWith(hash, data, key, signature);
  return verifyWith(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, signature);
}
