import { defineProvider, type KmsProvider } from '@keywright/kms';
import { AwsKmsDriver } from './driver.ts';
import { type AwsKmsProviderOptions, checkOptions } from './options.ts';

/**
 * Keys in AWS KMS, where they are made and where they stay. Connects to nothing by itself.
 *
 * EdDSA signs at most 4,096 bytes, and not nothing: AWS KMS takes no more unhashed. A deleted key stops signing at once
 * and is gone after 7 days. AWS KMS knows keys by their ARN, so which tenant's a key is stands in the host's table; the
 * key's tags say it too.
 *
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { awsKmsProvider } from '@keywright/kms-aws';
 *
 * const aws = awsKmsProvider({ id: 'aws', region: 'eu-central-1' });
 * const key = await aws.createKey({ tenantId: 'acme', keyId: 'k1', alg: 'ES256' });
 * const signature = await aws.sign(key, Buffer.from('data')); // r ‖ s
 * ```
 */
export function awsKmsProvider(options: AwsKmsProviderOptions): KmsProvider {
  return defineProvider(new AwsKmsDriver(checkOptions(options)), options);
}
