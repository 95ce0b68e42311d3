import { webcrypto } from 'node:crypto';
import type {
  X509CertificateCreateParams,
  X509CertificateCreateSelfSignedParams,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { SIGN_ALGORITHMS, type SignAlg } from '../algorithms.ts';
import { invalidArgument, kindOf } from '../arguments.ts';
import { KmsError } from '../errors.ts';
import { type PublicJwk, thumbprint } from '../jwk.ts';
import type { CallOptions, KmsKey, KmsKeyRef, KmsProvider } from '../provider.ts';

/** What `@peculiar/x509` takes as its last argument. */
export type X509Crypto = NonNullable<Parameters<typeof X509CertificateGenerator.create>[1]>;

/** What it takes as `keys`. */
export type X509KeyPair = X509CertificateCreateSelfSignedParams['keys'];

/** What it takes as `signingAlgorithm`. */
export type X509SigningAlgorithm = NonNullable<X509CertificateCreateParams['signingAlgorithm']>;

/** A key of a provider, as `@peculiar/x509` signs with it. */
export interface KmsSigner {
  /** Signs with this key, and does all else as the runtime's own. Given to each call; never installed for all. */
  readonly crypto: X509Crypto;
  /** The public key, and a stand-in for the private one, which stays where it is. */
  readonly keys: X509KeyPair;
  readonly publicKey: X509KeyPair['publicKey'];
  readonly signingKey: X509KeyPair['privateKey'];
  /** The key's own; another that a call asks for is not used. */
  readonly signingAlgorithm: X509SigningAlgorithm;
}

type SubtleSign = webcrypto.SubtleCrypto['sign'];

/** Stand-ins of all signers: one of them is never signed with by another. */
const standIns = new WeakSet<object>();

/**
 * Lets `@peculiar/x509` sign certificates, requests and revocation lists with a key of a provider.
 *
 * A module that imports `@peculiar/x509` itself imports this one first, or `reflect-metadata`, which the library needs.
 *
 * @param options of the calls that sign
 * @throws KmsError as {@link KmsProvider.getPublicKey}; `ERR_KMS_KEY_MISMATCH` where the backend holds another key than
 * the one given
 *
 * @example
 * ```ts
 * import type { KmsKey, KmsProvider } from '@keywright/kms';
 * import { distinguishedName, kmsSigner } from '@keywright/kms/x509';
 * import { BasicConstraintsExtension, type X509Certificate, X509CertificateGenerator } from '@peculiar/x509';
 *
 * export async function selfSigned(provider: KmsProvider, key: KmsKey): Promise<X509Certificate> {
 *   const { crypto, keys } = await kmsSigner(provider, key);
 *   const name = distinguishedName({ O: 'Acme, Inc.', CN: 'Acme root' });
 *   const extensions = [new BasicConstraintsExtension(true, 0, true)];
 *   return await X509CertificateGenerator.createSelfSigned({ name, keys, extensions }, crypto);
 * }
 * ```
 */
export async function kmsSigner(
  provider: Pick<KmsProvider, 'sign' | 'getPublicKey'>,
  key: KmsKey | KmsKeyRef,
  options?: CallOptions,
): Promise<KmsSigner> {
  // What is signed with later is the key whose public part was read, whatever becomes of the caller's object.
  const ref: KmsKeyRef = Object.freeze({ ...key });
  const publicJwk = await provider.getPublicKey(ref, options);
  const { tenantId, keyId, providerId, alg, publicJwk: recorded }: KmsKeyRef & Partial<KmsKey> = ref;
  if (recorded && thumbprint(recorded) !== thumbprint(publicJwk)) {
    throw new KmsError('ERR_KMS_KEY_MISMATCH', { context: { tenantId, keyId, provider: providerId, alg } });
  }
  const signingAlgorithm = Object.freeze(algorithmOf(alg));
  const publicKey = await importPublicKey(publicJwk, signingAlgorithm);
  const usages = Object.freeze(['sign']);
  // What the library merges last into a signature's algorithm is the signing key's: no other hash gets in.
  const signingKey = Object.freeze({ type: 'private', extractable: false, algorithm: signingAlgorithm, usages });
  standIns.add(signingKey);
  const sign: SubtleSign = async (algorithm, signedBy, data) => {
    if ((signedBy as unknown) === signingKey) {
      checkAlgorithm(algorithm, signingAlgorithm);
      const signature = await provider.sign(ref, bytesOf(data), options);
      return Uint8Array.from(signature).buffer;
    }
    if (standIns.has(signedBy)) throw invalidArgument('signingKey', 'the key of this signer', 'the key of another');
    return await webcrypto.subtle.sign(algorithm, signedBy, data);
  };
  const crypto = cryptoWith(sign) as X509Crypto;
  const keys = Object.freeze({ publicKey, privateKey: signingKey }) as X509KeyPair;
  return Object.freeze({ crypto, keys, publicKey: keys.publicKey, signingKey: keys.privateKey, signingAlgorithm });
}

interface Algorithm {
  readonly name: string;
  readonly namedCurve?: string;
  readonly hash?: string;
  readonly saltLength?: number;
}

function algorithmOf(alg: SignAlg): Algorithm {
  const algorithm = SIGN_ALGORITHMS[alg];
  if (algorithm.kind === 'eddsa') return { name: 'Ed25519' };
  const hash = algorithm.hash.replace('sha', 'SHA-');
  if (algorithm.kind === 'ecdsa') return { name: 'ECDSA', namedCurve: algorithm.crv, hash };
  const { saltLength } = algorithm;
  return algorithm.kind === 'rsa-pss' ? { name: 'RSA-PSS', hash, saltLength } : { name: 'RSASSA-PKCS1-v1_5', hash };
}

async function importPublicKey(jwk: PublicJwk, algorithm: Algorithm): Promise<webcrypto.CryptoKey> {
  return await webcrypto.subtle.importKey('jwk', { ...jwk }, algorithm as never, true, ['verify']);
}

/** The runtime's own, but for `sign`. Its methods look at `this`, so they stay bound to it. */
function cryptoWith(sign: SubtleSign): webcrypto.Crypto {
  const withMember = <Target extends object>(target: Target, member: string, value: unknown): Target =>
    new Proxy(target, {
      get: (_, name) => {
        if (name === member) return value;
        const own: unknown = Reflect.get(target, name, target);
        return typeof own === 'function' ? own.bind(target) : own;
      },
    });
  return withMember(webcrypto as webcrypto.Crypto, 'subtle', withMember(webcrypto.subtle, 'sign', sign));
}

function checkAlgorithm(asked: unknown, own: Algorithm): void {
  const { name, hash, saltLength } = (typeof asked === 'string' ? { name: asked } : (asked ?? {})) as Algorithm;
  const hashName: unknown = typeof hash === 'object' ? (hash as { readonly name?: unknown } | null)?.name : hash;
  const fits =
    name === own.name &&
    (own.hash === undefined || hashName === own.hash) &&
    (own.saltLength === undefined || saltLength === own.saltLength);
  if (!fits) throw invalidArgument('algorithm', `the key's, ${own.name} with ${own.hash ?? 'no hash'}`, 'another');
}

function bytesOf(data: unknown): Uint8Array {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  throw invalidArgument('data', 'an ArrayBuffer or a view of one', kindOf(data));
}
