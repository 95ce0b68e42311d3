import type { KeyWrapper } from '@keywright/envelope';
import type { Knex } from 'knex';
import { SYSTEM_TENANT } from './arguments.ts';
import type { AuditLog } from './audit/audit-log.ts';
import { SecretsError } from './errors.ts';
import { verifyRootKeys } from './keys/root-keys.ts';
import type { TenantKeys } from './keys/tenant-keys.ts';
import { readMigrations } from './migrations/index.ts';
import type { Tables } from './tables.ts';

/** What is made ready. */
export interface ReadinessParts {
  readonly tables: Tables;
  readonly root: KeyWrapper;
  readonly tenantKeys: TenantKeys;
  readonly audit: AuditLog;
  readonly rootTimeoutMs: number;
}

/**
 * What must hold before a store touches a secret: the schema is of this release, the root key is the one this database
 * was written with, and the audit key is at hand.
 *
 * @throws SecretsError `ERR_SECRETS_NOT_MIGRATED`, `ERR_SECRETS_SCHEMA_NEWER`, `ERR_SECRETS_ROOT_KEY_WRONG`,
 * `ERR_SECRETS_ROOT_KEY_MISSING`
 */
export async function makeReady(
  db: Knex,
  { tables, root, tenantKeys, audit, rootTimeoutMs }: ReadinessParts,
): Promise<void> {
  const { pending } = await readMigrations(db, tables);
  if (pending.length > 0) throw new SecretsError('ERR_SECRETS_NOT_MIGRATED');
  await verifyRootKeys(db, tables, root, rootTimeoutMs);
  const found = await tenantKeys.findActive(db, SYSTEM_TENANT);
  if (found !== undefined) {
    audit.useKey(await tenantKeys.unwrap(db, found));
    return;
  }
  const { row, made } = await tenantKeys.insert(db, await tenantKeys.prepare(SYSTEM_TENANT));
  audit.useKey(await tenantKeys.unwrap(db, row));
  if (!made) return;
  // Once in a store's life. A second row says that somebody removed the key under which older rows were authentic.
  await audit.record(db, {
    tenantId: SYSTEM_TENANT,
    actor: SYSTEM_TENANT,
    action: 'tenant-key.create',
    outcome: 'success',
    context: { key: row.kek_id },
  });
}
