export type { Metadata } from './arguments.ts';
export type { AuditAction, AuditEntry } from './audit/event.ts';
export { SecretsError, type SecretsErrorCode, type SecretsErrorOptions } from './errors.ts';
export type { RootRotation, RotateRootOptions } from './keys/rotate-root.ts';
export type { MigrationStatus } from './migrations/index.ts';
export type { SavedSecret } from './operations/write.ts';
export type { SecretStoreOptions } from './options.ts';
export type { ListOptions, Page } from './pagination.ts';
export type { Secret, SecretInfo, SecretVersionInfo } from './secret.ts';
export { createSecretStore, type MigrateOptions, migrateSecretStore, type SecretStore } from './store.ts';
export type { TableOptions } from './tables.ts';
export type {
  SaveOptions,
  TenantOptions,
  TenantSecrets,
  UpdateChanges,
} from './tenant.ts';
export type { SecretType, SecretValue } from './value.ts';
