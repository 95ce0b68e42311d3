import type { KeyWrapper, Logger } from '@keywright/envelope';
import type { Knex } from 'knex';
import type { AuditLog } from './audit/audit-log.ts';
import type { Connections } from './connections.ts';
import type { TenantKeys } from './keys/tenant-keys.ts';
import type { SecretStoreOptions } from './options.ts';
import type { Tables } from './tables.ts';

/** What the parts of a store share. */
export interface StoreCore {
  readonly connections: Connections;
  readonly tables: Tables;
  readonly root: KeyWrapper;
  readonly rootTimeoutMs: number;
  readonly audit: AuditLog;
  readonly tenantKeys: TenantKeys;
  readonly options: SecretStoreOptions;
  readonly logger: Logger | undefined;
  /** Schema, root key and audit key are as they must be; to be awaited before anything else. */
  ready(trx: Knex.Transaction | undefined): Promise<void>;
}
