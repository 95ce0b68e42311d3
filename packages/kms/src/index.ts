export { SIGN_ALGORITHMS, SIGN_ALGS, type SignAlg, type SignAlgorithm } from './algorithms.ts';
export {
  type AlgCapabilities,
  type KmsCapabilities,
  type KmsCapabilitySummary,
  summarize,
} from './capabilities.ts';
export { defineProvider, type ProviderOptions } from './define-provider.ts';
export type { DriverCall, DriverCreateKey, DriverKey, KmsDriver } from './driver.ts';
export { KmsError, type KmsErrorCode, type KmsErrorOptions } from './errors.ts';
export type { TlsOptions } from './internal/json-http.ts';
export { type PrivateJwk, type PublicJwk, publicJwkOf, thumbprint } from './jwk.ts';
export { type Jwks, type JwksKey, publicJwks } from './jwks.ts';
export {
  type FlattenedJws,
  type JwsHeader,
  type JwsSigner,
  type SignJwsOptions,
  signJws,
  signJwsFlattened,
} from './jws.ts';
export type { KeyProviders } from './keys/key-providers.ts';
export type { ActiveKey, CreatingKey, DeletingKey, KeyFacts, KeyRecord, KeyStatus } from './keys/key-record.ts';
export { createKmsKeys, type KmsKeys, type KmsKeysOptions, type TenantOptions } from './keys/kms-keys.ts';
export type { MovedKey, MoveTarget } from './keys/move-key.ts';
export type { ImportedKey, ListKeyRecordsOptions, NewKey, ReadOptions } from './keys/options.ts';
export type { ReconcileOptions, ReconcileProgress } from './keys/reconcile.ts';
export type {
  KeyFinding,
  OrphanKey,
  ReconcileCounts,
  ReconcileFailure,
  ReconcileReport,
} from './keys/reconcile-report.ts';
export type { KeyRecordPage, TenantKeys } from './keys/tenant-keys.ts';
export { formatPkcs11Uri, type Pkcs11Uri, parsePkcs11Uri } from './pkcs11-uri.ts';
export type {
  BackendKey,
  BackendKeyPage,
  CallOptions,
  CreateKeyInput,
  GetPublicKeyOptions,
  ImportKeyInput,
  KmsHealth,
  KmsKey,
  KmsKeyRef,
  KmsProvider,
  ListKeysOptions,
  WrappingKeyRef,
} from './provider.ts';
export type { KmsProviderType, ProviderEntry, ProviderSchema, ProviderServices } from './provider-type.ts';
export {
  type DbProviderOptions,
  dbProvider,
  dbProviderType,
  type RewrappedSoftwareKeys,
  type RewrapSoftwareKeysOptions,
  rewrapSoftwareKeys,
} from './providers/db/index.ts';
export {
  type ClientCredentials,
  type HttpProviderOptions,
  httpProvider,
  httpProviderType,
} from './providers/http/index.ts';
export {
  type VaultAuth,
  type VaultProviderOptions,
  vaultProvider,
  vaultProviderType,
} from './providers/vault/index.ts';
export {
  createKmsRegistry,
  type KmsConfig,
  type KmsRegistryOptions,
  type RegistryOfConfig,
  type RegistryOfProviders,
} from './registry/create.ts';
export { kmsJsonSchema } from './registry/editor-schema.ts';
export { type LoadKmsRegistryOptions, loadKmsRegistry } from './registry/load.ts';
export type {
  HealthOptions,
  KmsConfigEcho,
  KmsProviders,
  KmsRegistry,
  ProviderDescription,
  ProviderEcho,
  TenantOverlay,
} from './registry/registry.ts';
export { derToRaw, type EcdsaAlg, rawToDer } from './signature-format.ts';
export { type KmsMigrationReport, type MigrateKmsTablesOptions, migrateKmsTables } from './tables/migrate.ts';
export type { KmsTableOptions } from './tables/names.ts';
export { kmsMigrationSource } from './tables/source.ts';
export { verifySignature } from './verify.ts';
export { contextBytes } from './wrapping/context.ts';
export { type JoinKeyWrappersOptions, joinKeyWrappers } from './wrapping/join-key-wrappers.ts';
export { type KmsKeyWrapperOptions, kmsKeyWrapper } from './wrapping/key-wrapper.ts';
