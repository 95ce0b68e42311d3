import { constants, createPrivateKey, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto';
import { aesKwpWrap } from '@keywright/envelope/aes-kwp';
import { type DriverCall, KmsError, type PrivateJwk, type SignAlg } from '@keywright/kms';
import { request, withNewKey } from './calls.ts';
import { bytesOf } from './checks.ts';
import type { AwsKmsClient } from './client.ts';
import { KEY_SPECS, type SigningKeySpec } from './key-specs.ts';

/**
 * What kind of key a private key becomes.
 * @throws KmsError `ERR_KMS_UNSUPPORTED` for RSA keys of a size that AWS KMS has not
 */
export function importSpecOf(alg: SignAlg, jwk: PrivateJwk): SigningKeySpec {
  const { spec, fits } = KEY_SPECS[alg];
  if (jwk.kty !== 'RSA') return spec;
  const bits = createPublicKey({ format: 'jwk', key: { kty: 'RSA', n: jwk.n, e: jwk.e } }).asymmetricKeyDetails
    ?.modulusLength;
  const found = `RSA_${bits}`;
  if (fits.includes(found)) return found as SigningKeySpec;
  throw new KmsError('ERR_KMS_UNSUPPORTED', { context: { alg, expected: fits.join(', '), received: found } });
}

/** Fills a key that was made without material. What is sent can be opened by the HSMs of AWS only. */
export async function importMaterial(
  client: AwsKmsClient,
  externalId: string,
  privateJwk: PrivateJwk,
  call: DriverCall,
): Promise<void> {
  const parameters = await withNewKey(call, () =>
    request(call, (options) =>
      client.getParametersForImport(
        { KeyId: externalId, WrappingAlgorithm: 'RSA_AES_KEY_WRAP_SHA_256', WrappingKeySpec: 'RSA_4096' },
        options,
      ),
    ),
  );
  const input = {
    KeyId: externalId,
    ImportToken: bytesOf(parameters.ImportToken, 'an import token'),
    EncryptedKeyMaterial: wrap(bytesOf(parameters.PublicKey, 'a wrapping key'), privateJwk),
    ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
  } as const;
  await withNewKey(call, () => request(call, (options) => client.importKeyMaterial(input, options)));
}

/** PKCS #8 under an AES key that is used once, behind that key under the wrapping key. */
function wrap(wrappingKey: Uint8Array, privateJwk: PrivateJwk): Uint8Array {
  const pkcs8 = createPrivateKey({ format: 'jwk', key: { ...privateJwk } }).export({ format: 'der', type: 'pkcs8' });
  const once = randomBytes(32);
  try {
    const key = createPublicKey({ key: Buffer.from(wrappingKey), format: 'der', type: 'spki' });
    const padding = constants.RSA_PKCS1_OAEP_PADDING;
    const wrappedOnce = publicEncrypt({ key, padding, oaepHash: 'sha256' }, once);
    return Buffer.concat([wrappedOnce, aesKwpWrap(once, pkcs8)]);
  } catch (cause) {
    throw new KmsError('ERR_KMS_INVALID_RESPONSE', { context: { expected: 'an RSA key to wrap with' }, cause });
  } finally {
    pkcs8.fill(0);
    once.fill(0);
  }
}
