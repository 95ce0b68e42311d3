import type { SignAlg } from './algorithms.ts';
import { checkAlg, checkKeyId, invalidArgument, kindOf } from './arguments.ts';
import { KmsError } from './errors.ts';
import { type PublicJwk, publicJwkOf } from './jwk.ts';
import type { KmsKey } from './provider.ts';

/** A public key as a verifier looks it up. */
export type JwksKey = PublicJwk & { readonly kid: string; readonly alg: SignAlg; readonly use: 'sig' };

/** A JWK Set (RFC 7517, 5). */
export interface Jwks {
  readonly keys: readonly JwksKey[];
}

/**
 * The document that verifiers fetch: the public members of each key, with the `kid` that {@link signJws} writes.
 * @param keys of one issuer; two of one `keyId` are refused, for a verifier could not tell them apart
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`
 */
export function publicJwks(keys: readonly KmsKey[]): Jwks {
  if (!Array.isArray(keys)) throw invalidArgument('keys', 'an array of keys', kindOf(keys));
  const seen = new Set<string>();
  const published = keys.map((key: KmsKey, index): JwksKey => {
    const argument = `keys[${index}]`;
    if (typeof key !== 'object' || key === null) throw invalidArgument(argument, 'a key', kindOf(key));
    const kid = checkKeyId(key.keyId, `${argument}.keyId`);
    const alg = checkAlg(key.alg, `${argument}.alg`);
    if (seen.has(kid)) throw invalidArgument(`${argument}.keyId`, 'an id of its own', 'one that another key has');
    seen.add(kid);
    return Object.freeze({ ...publicOf(argument, alg, key.publicJwk), kid, alg, use: 'sig' });
  });
  return Object.freeze({ keys: Object.freeze(published) });
}

function publicOf(argument: string, alg: SignAlg, publicJwk: PublicJwk): PublicJwk {
  try {
    return publicJwkOf(alg, { ...publicJwk });
  } catch (error) {
    if (!(error instanceof KmsError)) throw error;
    throw invalidArgument(`${argument}.publicJwk`, `a public key for ${alg}`, kindOf(publicJwk));
  }
}
