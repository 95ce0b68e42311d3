import type { SignAlg } from '@keywright/kms';

/** Kinds of key pair that are made. */
export type SigningKeySpec =
  | 'ECC_NIST_P256'
  | 'ECC_NIST_P384'
  | 'ECC_NIST_P521'
  | 'ECC_NIST_EDWARDS25519'
  | 'RSA_2048'
  | 'RSA_3072'
  | 'RSA_4096';

/** What AWS KMS calls an algorithm, and the keys for it. */
export interface KeySpecRow {
  /** Of keys that are made here. */
  readonly spec: SigningKeySpec;
  /** Of keys that fit the algorithm: RSA keys of other sizes are imported or made by others. */
  readonly fits: readonly string[];
  readonly signingAlgorithm: SigningAlgorithm;
}

export type SigningAlgorithm =
  | 'ECDSA_SHA_256'
  | 'ECDSA_SHA_384'
  | 'ECDSA_SHA_512'
  | 'ED25519_SHA_512'
  | 'RSASSA_PKCS1_V1_5_SHA_256'
  | 'RSASSA_PKCS1_V1_5_SHA_384'
  | 'RSASSA_PKCS1_V1_5_SHA_512'
  | 'RSASSA_PSS_SHA_256'
  | 'RSASSA_PSS_SHA_384'
  | 'RSASSA_PSS_SHA_512';

const one = (spec: SigningKeySpec, signingAlgorithm: SigningAlgorithm): KeySpecRow => ({
  spec,
  fits: [spec],
  signingAlgorithm,
});
const rsa = (signingAlgorithm: SigningAlgorithm): KeySpecRow => ({
  spec: 'RSA_3072',
  fits: ['RSA_2048', 'RSA_3072', 'RSA_4096'],
  signingAlgorithm,
});

/** One row for each algorithm. AWS KMS salts PSS with as many bytes as the hash has, as JWA wants it. */
export const KEY_SPECS: Readonly<Record<SignAlg, KeySpecRow>> = Object.freeze({
  ES256: one('ECC_NIST_P256', 'ECDSA_SHA_256'),
  ES384: one('ECC_NIST_P384', 'ECDSA_SHA_384'),
  ES512: one('ECC_NIST_P521', 'ECDSA_SHA_512'),
  EdDSA: one('ECC_NIST_EDWARDS25519', 'ED25519_SHA_512'),
  RS256: rsa('RSASSA_PKCS1_V1_5_SHA_256'),
  RS384: rsa('RSASSA_PKCS1_V1_5_SHA_384'),
  RS512: rsa('RSASSA_PKCS1_V1_5_SHA_512'),
  PS256: rsa('RSASSA_PSS_SHA_256'),
  PS384: rsa('RSASSA_PSS_SHA_384'),
  PS512: rsa('RSASSA_PSS_SHA_512'),
});

/** Longest message that AWS KMS hashes itself, and longest text that it encrypts, in bytes. */
export const MAX_MESSAGE_BYTES: number = 4096;
