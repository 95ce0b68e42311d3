import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  sign as signWith,
} from 'node:crypto';
import { promisify } from 'node:util';
import { RSA_BITS, SIGN_ALGORITHMS, type SignAlg } from '../../algorithms.ts';
import { type PrivateJwk, type PublicJwk, publicJwkOf } from '../../jwk.ts';

const generate = promisify(generateKeyPair);

/** A private key in memory, with what it signs by. */
export interface KeyPair {
  readonly alg: SignAlg;
  readonly publicJwk: PublicJwk;
  readonly privateKey: KeyObject;
  sign(data: Uint8Array): Promise<Uint8Array>;
}

/** A new private key. Made on the thread pool: the primes of RSA take a second. */
export async function generatePrivateKey(alg: SignAlg): Promise<KeyObject> {
  const algorithm = SIGN_ALGORITHMS[alg];
  if (algorithm.kind === 'ecdsa') return (await generate('ec', { namedCurve: algorithm.crv })).privateKey;
  if (algorithm.kind === 'eddsa') return (await generate('ed25519')).privateKey;
  return (await generate('rsa', { modulusLength: RSA_BITS })).privateKey;
}

/** @param jwk checked by the shell of the provider */
export function readPrivateJwk(jwk: PrivateJwk): KeyObject {
  return createPrivateKey({ format: 'jwk', key: { ...jwk } });
}

export function exportPkcs8(privateKey: KeyObject): Buffer {
  return privateKey.export({ format: 'der', type: 'pkcs8' });
}

/** @throws Error unless it is a private key in PKCS #8; KmsError unless it is one for `alg` */
export function readPkcs8(alg: SignAlg, pkcs8: Buffer): KeyPair {
  return keyPairOf(alg, createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }));
}

/** @throws KmsError `ERR_KMS_INVALID_RESPONSE` unless it is a key for `alg` */
export function keyPairOf(alg: SignAlg, privateKey: KeyObject): KeyPair {
  return { alg, publicJwk: publicJwkOf(alg, createPublicKey(privateKey)), privateKey, sign: signerOf(alg, privateKey) };
}

/**
 * Elliptic curves sign in microseconds, less than a turn of the thread pool takes; RSA takes milliseconds, for which the
 * event loop must not stand still.
 */
function signerOf(alg: SignAlg, key: KeyObject): KeyPair['sign'] {
  const algorithm = SIGN_ALGORITHMS[alg];
  if (algorithm.kind === 'eddsa') return async (data) => signWith(null, data, key);
  if (algorithm.kind === 'ecdsa') {
    const { hash } = algorithm;
    const options = { key, dsaEncoding: 'ieee-p1363' } as const;
    return async (data) => signWith(hash, data, options);
  }
  const { hash, kind, saltLength } = algorithm;
  const options =
    kind === 'rsa-pss'
      ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }
      : { key, padding: constants.RSA_PKCS1_PADDING };
  return (data) => {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    signWith(hash, data, options, (error, signature) => (error === null ? resolve(signature) : reject(error)));
    return promise;
  };
}
