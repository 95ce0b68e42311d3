import { dbProviderType, httpProviderType, kmsJsonSchema, vaultProviderType } from '@keywright/kms';
import { awsKmsProviderType } from '@keywright/kms-aws';
import { pkcs11ProviderType } from '@keywright/kms-pkcs11';

/** Where the schema of `kms.json` is published, from the root of the workspace. */
export const KMS_SCHEMA = 'packages/kms/kms.schema.json';

/** Made here because it holds the types of all our packages, and kms imports none of them. */
export function kmsSchemaText(): string {
  const types = [dbProviderType, vaultProviderType, awsKmsProviderType, pkcs11ProviderType, httpProviderType];
  return `${JSON.stringify(kmsJsonSchema(types), null, 2)}\n`;
}
