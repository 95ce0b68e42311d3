import type { Keyring } from '@keywright/envelope';
import type { Knex } from 'knex';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Connections } from '../connections.ts';
import type { PreparedKey, TenantKeys } from '../keys/tenant-keys.ts';
import type { Tables } from '../tables.ts';

/** What a tenant's operations work with. */
export interface Scope {
  readonly connections: Connections;
  readonly tables: Tables;
  readonly audit: AuditLog;
  readonly tenantKeys: TenantKeys;
  readonly maxValueBytes: number;
  readonly tenantId: string;
  readonly actor: string;
}

/** What an operation adds to its audit row. */
export interface Audited {
  readonly secretId?: string | undefined;
  readonly version?: number | undefined;
  readonly context?: Readonly<Record<string, string | number>> | undefined;
}

/** The key that this tenant writes with; its first write makes one, in the same transaction. */
export async function activeKek(scope: Scope, db: Knex): Promise<Keyring> {
  const row = await scope.tenantKeys.findActive(db, scope.tenantId);
  if (row !== undefined) return await scope.tenantKeys.unwrap(db, row);
  return await storeKek(scope, db, await scope.tenantKeys.prepare(scope.tenantId));
}

/**
 * Makes and unwraps the tenant's key ahead of a transaction of the store's own, so that no remote root key is called
 * while it is open. Nothing is asked where the key is in memory: the transaction looks at its state itself.
 */
export async function warmKek(scope: Scope): Promise<void> {
  if (scope.tenantKeys.isWarm(scope.tenantId)) return;
  const db = scope.connections.reader(undefined);
  const row = await scope.tenantKeys.findActive(db, scope.tenantId);
  if (row !== undefined) {
    await scope.tenantKeys.unwrap(db, row);
    return;
  }
  const prepared = await scope.tenantKeys.prepare(scope.tenantId);
  const kek = await scope.connections.write(undefined, scope.tables, (trx) => storeKek(scope, trx, prepared));
  scope.tenantKeys.remember(scope.tenantId, kek);
}

async function storeKek(scope: Scope, db: Knex, prepared: PreparedKey): Promise<Keyring> {
  const { row, made } = await scope.tenantKeys.insert(db, prepared);
  if (made) {
    await scope.audit.record(db, {
      tenantId: scope.tenantId,
      actor: scope.actor,
      action: 'tenant-key.create',
      outcome: 'success',
      context: { key: row.kek_id },
    });
  }
  return await scope.tenantKeys.unwrap(db, row);
}
