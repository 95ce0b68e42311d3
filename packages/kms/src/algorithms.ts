/** Signature algorithms, as JOSE names them (RFC 7518, RFC 8037). `EdDSA` is Ed25519 here. */
export type SignAlg = 'ES256' | 'ES384' | 'ES512' | 'EdDSA' | 'RS256' | 'RS384' | 'RS512' | 'PS256' | 'PS384' | 'PS512';

interface EcAlgorithm {
  readonly kind: 'ecdsa';
  readonly kty: 'EC';
  readonly crv: 'P-256' | 'P-384' | 'P-521';
  readonly hash: 'sha256' | 'sha384' | 'sha512';
  /** Bytes of one coordinate, and of r and of s in a raw signature. */
  readonly size: 32 | 48 | 66;
}

interface EdAlgorithm {
  readonly kind: 'eddsa';
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
}

interface RsaAlgorithm {
  readonly kind: 'rsa-pkcs1' | 'rsa-pss';
  readonly kty: 'RSA';
  readonly hash: 'sha256' | 'sha384' | 'sha512';
  /** Bytes of the salt of PSS, which JWA ties to the hash (RFC 7518, 3.5); 0 for PKCS #1 v1.5. */
  readonly saltLength: 0 | 32 | 48 | 64;
}

/** What an algorithm is made of; one row knows it, nothing else branches on names. */
export type SignAlgorithm = EcAlgorithm | EdAlgorithm | RsaAlgorithm;

const rsa = (hash: RsaAlgorithm['hash'], saltLength: RsaAlgorithm['saltLength']): RsaAlgorithm => ({
  kind: saltLength === 0 ? 'rsa-pkcs1' : 'rsa-pss',
  kty: 'RSA',
  hash,
  saltLength,
});

/** The algorithms by their names. */
export const SIGN_ALGORITHMS: Readonly<Record<SignAlg, SignAlgorithm>> = Object.freeze({
  ES256: { kind: 'ecdsa', kty: 'EC', crv: 'P-256', hash: 'sha256', size: 32 },
  ES384: { kind: 'ecdsa', kty: 'EC', crv: 'P-384', hash: 'sha384', size: 48 },
  ES512: { kind: 'ecdsa', kty: 'EC', crv: 'P-521', hash: 'sha512', size: 66 },
  EdDSA: { kind: 'eddsa', kty: 'OKP', crv: 'Ed25519' },
  RS256: rsa('sha256', 0),
  RS384: rsa('sha384', 0),
  RS512: rsa('sha512', 0),
  PS256: rsa('sha256', 32),
  PS384: rsa('sha384', 48),
  PS512: rsa('sha512', 64),
});

/** Names of all algorithms, the default first. */
export const SIGN_ALGS: readonly SignAlg[] = Object.freeze(Object.keys(SIGN_ALGORITHMS) as SignAlg[]);

/** What a key is made for where nothing else is asked for. */
export const DEFAULT_ALG: SignAlg = 'ES256';

/** Modulus of RSA keys that are made here, in bits. */
export const RSA_BITS: number = 3072;

export function isSignAlg(alg: unknown): alg is SignAlg {
  return typeof alg === 'string' && Object.hasOwn(SIGN_ALGORITHMS, alg);
}
