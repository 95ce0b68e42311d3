import { createPublicKey, hash, type JsonWebKey, type KeyObject } from 'node:crypto';
import { SIGN_ALGORITHMS, type SignAlg } from './algorithms.ts';
import { KmsError } from './errors.ts';

/** A public key (RFC 7517) with the members that make it and nothing else: no `kid`, no `alg`, never a private part. */
export type PublicJwk =
  | { readonly kty: 'EC'; readonly crv: 'P-256' | 'P-384' | 'P-521'; readonly x: string; readonly y: string }
  | { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string }
  | { readonly kty: 'RSA'; readonly n: string; readonly e: string };

/** A private key as a JWK, on its way into a provider. */
export type PrivateJwk = PublicJwk & { readonly d: string } & Readonly<
    Partial<Record<'p' | 'q' | 'dp' | 'dq' | 'qi', string>>
  >;

const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 8192;

/**
 * The public part of a key that is to be of algorithm `alg`: the point is on the curve, the modulus is of a length that
 * is used. Whatever else the key holds is left out.
 *
 * @throws KmsError `ERR_KMS_INVALID_RESPONSE` unless it is such a key
 */
export function publicJwkOf(alg: SignAlg, key: JsonWebKey | KeyObject): PublicJwk {
  const algorithm = SIGN_ALGORITHMS[alg];
  const { kty, crv, x, y, n, e } = readPublicKey(key);
  if (kty === algorithm.kty) {
    if (kty === 'EC' && x !== undefined && y !== undefined && crv === (algorithm as { crv?: string }).crv) {
      return Object.freeze({ kty, crv: crv as 'P-256', x, y });
    }
    if (kty === 'OKP' && x !== undefined && crv === 'Ed25519') return Object.freeze({ kty, crv, x });
    if (kty === 'RSA' && n !== undefined && e !== undefined && isUsedModulus(n)) return Object.freeze({ kty, n, e });
  }
  throw new KmsError('ERR_KMS_INVALID_RESPONSE', {
    context: { alg, expected: `a public key for ${alg}`, received: typeof kty === 'string' ? kty : 'no key' },
  });
}

/** Base64url of SHA-256 over the required members (RFC 7638): the name that a key has whoever holds it. */
export function thumbprint(jwk: PublicJwk): string {
  const members =
    jwk.kty === 'RSA'
      ? { e: jwk.e, kty: jwk.kty, n: jwk.n }
      : jwk.kty === 'EC'
        ? { crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y }
        : { crv: jwk.crv, kty: jwk.kty, x: jwk.x };
  return hash('sha256', JSON.stringify(members), 'base64url');
}

/** OpenSSL's own reading of the key: it refuses points that are not on their curve. */
function readPublicKey(key: JsonWebKey | KeyObject): JsonWebKey {
  try {
    const { kty, crv, x, y, n, e } = key as JsonWebKey;
    const read =
      'asymmetricKeyType' in key && typeof key.export === 'function'
        ? (key as KeyObject)
        : createPublicKey({ format: 'jwk', key: { kty, crv, x, y, n, e } as JsonWebKey });
    return (read.type === 'private' ? createPublicKey(read) : read).export({ format: 'jwk' });
  } catch (cause) {
    throw new KmsError('ERR_KMS_INVALID_RESPONSE', { context: { expected: 'a public key' }, cause });
  }
}

function isUsedModulus(n: string): boolean {
  const bits = Buffer.from(n, 'base64url').byteLength * 8;
  return bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS;
}
