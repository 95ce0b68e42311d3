export type { Metadata } from './arguments.ts';
export type { SecretAttributes } from './attributes.ts';
export type { AuditCheckpoint } from './audit/checkpoint.ts';
export type { AuditAction, AuditEntry } from './audit/event.ts';
export type { ExportOptions } from './audit/export.ts';
export type { AuditDamage, AuditFinding, AuditFindingReason } from './audit/finding.ts';
export type { AuditLogOptions } from './audit/list.ts';
export type { AuditOptions, NamedAuditSink } from './audit/options.ts';
export type { AuditPruning } from './audit/prune.ts';
export type { AuditRedaction, RedactOptions } from './audit/redact.ts';
export type { AuditSealing, SealOptions } from './audit/sealer.ts';
export type { AuditShipment } from './audit/sinks.ts';
export type { ForgetSinkOptions, PruneOptions, StoreAudit } from './audit/store-audit.ts';
export type { AuditVerification, VerifiedRange, VerifyOptions } from './audit/verify.ts';
export type { ReadCacheOptions } from './cache/options.ts';
export type { ChangeKind, SecretChange, WatchEvent } from './changes/change.ts';
export type { ChangeFeedOptions } from './changes/change-feed.ts';
export type { ListenOptions } from './changes/notifier.ts';
export type { TrimOptions } from './changes/trim.ts';
export type { ChangeWatch, WatchOptions } from './changes/watch.ts';
export type { Conditional } from './conditions.ts';
export { type KnexFromEnvOptions, knexFromEnv } from './environment.ts';
export { SecretsError, type SecretsErrorCode, type SecretsErrorOptions } from './errors.ts';
export type { SecretFilters } from './filters.ts';
export type { GetOptions } from './get-options.ts';
export type { RowSecurityOptions } from './isolation/rls.ts';
export {
  disableRowSecuritySql,
  type HostTableSecurityOptions,
  hostTableSecuritySql,
  type RowSecuritySqlOptions,
  rowSecuritySql,
} from './isolation/sql.ts';
export { tenantScope } from './isolation/tenant-scope.ts';
export { TENANT_SETTING } from './isolation/tenant-setting.ts';
export type { KeyActorOptions, RetireKeyOptions } from './keys/key-operations.ts';
export type { KeyName, KeyReport, RootKeyReport, TenantKeyName, TenantKeyReport } from './keys/key-report.ts';
export type { KeyProgress, KeyWorkOptions } from './keys/progress.ts';
export type { Reencrypted, ReencryptTenantOptions } from './keys/reencrypt-tenant.ts';
export type { AuditKeyRotation } from './keys/rotate-audit-key.ts';
export type { RootRotation, RotateRootOptions } from './keys/rotate-root.ts';
export type { RotateTenantOptions, TenantRotation } from './keys/rotate-tenant.ts';
export type { ShreddedKey, ShredFacts, ShredReceipt } from './keys/shred-receipt.ts';
export type { ShredTenantOptions } from './keys/shred-tenant.ts';
export type { ColdKek } from './keys/tenant-keys.ts';
export type { SecretLocator } from './locator.ts';
export type { MigrationStatus } from './migrations/index.ts';
export {
  type MigrateOptions,
  migrateSecretStore,
  type RollbackMigrationOptions,
  rollbackSecretMigration,
  secretMigrationStatus,
} from './migrations/migrate.ts';
export type { RollbackOptions } from './migrations/rollback.ts';
export { type SecretMigrationSourceOptions, secretMigrationSource } from './migrations/source.ts';
export { type OpenFromEnvOptions, openSecretStoreFromEnv } from './open-from-env.ts';
export type { SecretResult } from './operations/get/get-many.ts';
export type { PurgedSecrets } from './operations/purge.ts';
export type { SavedSecret } from './operations/write.ts';
export type { SecretStoreOptions } from './options.ts';
export type { ListOptions, NumberedPage, Page, PageOptions } from './pagination.ts';
export type { Secret, SecretInfo, SecretVersionInfo } from './secret.ts';
export { createSecretStore, type SecretStore } from './store.ts';
export type { TableOptions } from './tables.ts';
export type {
  Telemetry,
  TelemetryGauges,
  TelemetryMeasures,
  TelemetryOperation,
  TelemetrySpan,
  UnsealedRows,
} from './telemetry/telemetry.ts';
export type { TenantOptions, TenantSecrets } from './tenant.ts';
export type { SecretType, SecretValue } from './value.ts';
export type { PurgeOptions, SaveOptions, UpdateChanges } from './write-options.ts';
