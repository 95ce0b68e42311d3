import { type KmsKey, type KmsProvider, SIGN_ALGS, type SignAlg } from '@keywright/kms';
import { sampleKey } from '../../src/conformance/sample-keys.ts';

/** A key of every algorithm. Those of RSA are one known key that is taken over: new ones take seconds to make. */
export async function keyOfEach(provider: KmsProvider, tenantId: string): Promise<ReadonlyMap<SignAlg, KmsKey>> {
  const keys = new Map<SignAlg, KmsKey>();
  for (const alg of SIGN_ALGS) {
    const input = { tenantId, keyId: `key-${alg}`, alg };
    const isRsa = alg.startsWith('RS') || alg.startsWith('PS');
    keys.set(
      alg,
      isRsa ? await provider.importKey({ ...input, privateJwk: sampleKey(alg) }) : await provider.createKey(input),
    );
  }
  return keys;
}
