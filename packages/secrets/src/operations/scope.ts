import type { Keyring } from '@keywright/envelope';
import type { Knex } from 'knex';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Connections } from '../connections.ts';
import { SecretsError } from '../errors.ts';
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

/**
 * The key that this tenant writes with. The first save makes one, in the same transaction; nothing else does, and
 * nothing replaces one that was taken out of use.
 *
 * @throws SecretsError `ERR_SECRETS_KEY_UNAVAILABLE`, `ERR_SECRETS_NOT_FOUND` for a tenant that has nothing
 */
export async function activeKek(scope: Scope, trx: Knex, make: 'make' | 'find'): Promise<Keyring> {
  const { tenantId, tenantKeys } = scope;
  const row = await tenantKeys.findActive(trx, tenantId);
  if (row !== undefined) return await tenantKeys.unwrap(trx, row);
  if (await tenantKeys.hasAny(trx, tenantId)) {
    throw new SecretsError('ERR_SECRETS_KEY_UNAVAILABLE', { context: { tenantId } });
  }
  if (make === 'find') throw new SecretsError('ERR_SECRETS_NOT_FOUND', { context: { tenantId } });
  return await storeKek(scope, trx, await tenantKeys.prepare(trx, tenantId));
}

/**
 * Makes or unwraps the tenant's key ahead of a transaction of the store's own, so that no remote root key is called
 * while it is open. Nothing is asked where the key is in memory: the transaction looks at its state itself, and refuses
 * where there is none to be had.
 */
export async function warmKek(scope: Scope, make: 'make' | 'find'): Promise<void> {
  const { tenantId, tenantKeys } = scope;
  if (tenantKeys.isWarm(tenantId)) return;
  const { connections } = scope;
  const found = await connections.read(undefined, tenantId, async (db) => {
    const row = await tenantKeys.findActive(db, tenantId);
    return { row, any: row !== undefined || (await tenantKeys.hasAny(db, tenantId)) };
  });
  // The root key may be remote: it is asked while no transaction is open.
  const db = connections.raw(undefined);
  if (found.row !== undefined) await tenantKeys.unwrap(db, found.row);
  if (found.any || make === 'find') return;
  const prepared = await tenantKeys.prepare(db, tenantId);
  const kek = await connections.write(undefined, tenantId, scope.tables, (trx) => storeKek(scope, trx, prepared));
  tenantKeys.remember(tenantId, kek);
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
