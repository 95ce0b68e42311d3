export type { KeyChange } from './apply.ts';
export type { AwsOptions } from './aws.ts';
export {
  type AwsSecretsManagerClient,
  type AwsSecretsManagerOptions,
  awsSecretsManagerSource,
} from './aws-secrets-manager.ts';
export { type AwsSsmClient, type AwsSsmOptions, awsSsmSource } from './aws-ssm.ts';
export {
  type AzureCredential,
  type AzureKeyVaultOptions,
  type AzureSecretClient,
  azureKeyVaultSource,
} from './azure-key-vault.ts';
export { envSource } from './env-source.ts';
export { KeySourceError, type KeySourceErrorCode } from './errors.ts';
export { type FileSourceOptions, fileSource } from './file.ts';
export { type FollowOptions, followKeySource, type KeySourceFollower, type ReloadOptions } from './follow.ts';
export { type KeySourceFromEnvOptions, keySourceFromEnv } from './from-env.ts';
export {
  type GcpSecretManagerClient,
  type GcpSecretManagerOptions,
  gcpSecretManagerSource,
} from './gcp-secret-manager.ts';
export type { KdfCosts } from './kdf.ts';
export { type LoadKeyringOptions, loadKeyring } from './load.ts';
export { type MasterSecretOptions, masterSecretSource } from './master-secret.ts';
export { makePassphraseParameters, type Passphrase, type PassphraseOptions, passphraseSource } from './passphrase.ts';
export type { KeyMaterial, KeySource, LoadOptions, SecretOptions, TimeLimit } from './source.ts';
export type { VaultAuth } from './vault-auth.ts';
export { type VaultKvOptions, vaultKvSource } from './vault-kv.ts';
export { type WrappedDocument, type WrappedSourceOptions, wrapKeyMaterial, wrappedSource } from './wrapped.ts';
