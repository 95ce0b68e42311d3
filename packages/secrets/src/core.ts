import type { KeyWrapper, Logger } from '@keywright/envelope';
import type { Knex } from 'knex';
import type { AuditParts } from './audit-parts.ts';
import type { ReadCache } from './cache/read-cache.ts';
import type { ChangeFeed } from './changes/change-feed.ts';
import type { Connections } from './connections.ts';
import type { TenantKeys } from './keys/tenant-keys.ts';
import type { SecretStoreOptions } from './options.ts';
import type { Tables } from './tables.ts';

/** What the parts of a store share. */
export interface StoreCore extends AuditParts {
  readonly connections: Connections;
  readonly tables: Tables;
  readonly root: KeyWrapper;
  readonly rootTimeoutMs: number;
  readonly tenantKeys: TenantKeys;
  readonly changeFeed: ChangeFeed | undefined;
  readonly readCache: ReadCache | undefined;
  readonly options: SecretStoreOptions;
  readonly logger: Logger | undefined;
  /** Schema, root key and audit key are as they must be; to be awaited before anything else. */
  ready(trx: Knex.Transaction | undefined): Promise<void>;
}
