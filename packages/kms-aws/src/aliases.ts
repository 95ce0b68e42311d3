import { type DriverCall, KmsError } from '@keywright/kms';
import { request } from './calls.ts';
import type { AwsKmsClient } from './client.ts';

/** Names a key for people. Nothing is done by this name: it may be made to lead to another key. */
export async function createAlias(
  client: AwsKmsClient,
  alias: string,
  externalId: string,
  call: DriverCall,
): Promise<void> {
  await request(call, (options) => client.createAlias({ AliasName: alias, TargetKeyId: externalId }, options));
}

/** Takes our names off a key. AWS would do so when the key is gone, days later. */
export async function deleteAliases(
  client: AwsKmsClient,
  prefix: string,
  externalId: string,
  call: DriverCall,
): Promise<void> {
  const { Aliases: aliases = [] } = await request(call, (options) =>
    client.listAliases({ KeyId: externalId }, options),
  );
  for (const { AliasName: alias } of aliases) {
    if (!alias?.startsWith(`alias/${prefix}`)) continue;
    try {
      await request(call, (options) => client.deleteAlias({ AliasName: alias }, options));
    } catch (error) {
      if (!(error instanceof KmsError) || error.code !== 'ERR_KMS_KEY_NOT_FOUND') throw error;
    }
  }
}
