import { generateKeyPairSync } from 'node:crypto';
import { type KmsKey, type KmsProvider, type PrivateJwk, SIGN_ALGS, type SignAlg } from '@keywright/kms';

/** A key of every algorithm. Those of RSA share one short key that is taken over: long ones take seconds to make. */
export async function keyOfEach(provider: KmsProvider, tenantId: string): Promise<ReadonlyMap<SignAlg, KmsKey>> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const privateJwk = privateKey.export({ format: 'jwk' }) as unknown as PrivateJwk;
  const keys = new Map<SignAlg, KmsKey>();
  for (const alg of SIGN_ALGS) {
    const input = { tenantId, keyId: `key-${alg}`, alg };
    const isRsa = alg.startsWith('RS') || alg.startsWith('PS');
    keys.set(alg, isRsa ? await provider.importKey({ ...input, privateJwk }) : await provider.createKey(input));
  }
  return keys;
}
