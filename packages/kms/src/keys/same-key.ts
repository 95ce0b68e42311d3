import { randomBytes } from 'node:crypto';
import { KmsError } from '../errors.ts';
import { thumbprint } from '../jwk.ts';
import type { CallOptions, KmsKey, KmsProvider } from '../provider.ts';
import { verifySignature } from '../verify.ts';
import { codeOf } from './outcome.ts';

const TEST = Buffer.from('keywright: is this the same key? ');

/**
 * Proves that a provider signs with the very key whose public part is recorded: by the public key that its backend
 * shows, where it shows one, and by a signature of random data.
 *
 * @param key where the key is said to be, with the public key that is recorded
 * @throws KmsError `ERR_KMS_KEY_MISMATCH`, and the provider's
 */
export async function proveSameKey(provider: KmsProvider, key: KmsKey, options: CallOptions): Promise<void> {
  const shown = await provider.getPublicKey(key, options).catch((error: unknown) => {
    if (codeOf(error) === 'ERR_KMS_UNSUPPORTED') return key.publicJwk; // the signature has to prove it alone
    throw error;
  });
  if (thumbprint(shown) !== thumbprint(key.publicJwk)) throw mismatch(key);
  const data = Buffer.concat([TEST, randomBytes(32)]);
  const signature = await provider.sign(key, data, options);
  if (!verifySignature(key.alg, key.publicJwk, data, signature)) throw mismatch(key);
}

export function mismatch({ providerId, tenantId, keyId, alg }: KmsKey): KmsError {
  return new KmsError('ERR_KMS_KEY_MISMATCH', { context: { provider: providerId, tenantId, keyId, alg } });
}
