import type { Keyring } from '@keywright/envelope';
import type { Knex } from 'knex';
import type { AuditParts } from '../audit-parts.ts';
import type { ReadCache } from '../cache/read-cache.ts';
import type { ChangeFeed } from '../changes/change-feed.ts';
import type { Connections } from '../connections.ts';
import { SecretsError } from '../errors.ts';
import type { PreparedKey, TenantKeys } from '../keys/tenant-keys.ts';
import type { Tables } from '../tables.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';

/** What a tenant's operations work with. */
export interface Scope extends AuditParts {
  readonly connections: Connections;
  readonly tables: Tables;
  readonly tenantKeys: TenantKeys;
  readonly maxValueBytes: number;
  /** How many versions of a secret are kept that says nothing of its own; `undefined` for all. */
  readonly maxVersions: number | undefined;
  readonly preparedStatements: boolean;
  /** Where changes are recorded for those who watch, if they are. */
  readonly changeFeed: ChangeFeed | undefined;
  readonly readCache: ReadCache | undefined;
  readonly telemetry: Telemetry | undefined;
  readonly tenantId: string;
  readonly actor: string;
}

/** What an operation adds to its audit row. */
export interface Audited {
  readonly secretId?: string | undefined;
  /** Where the call did not give it. */
  readonly secretName?: string | undefined;
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
  const row = await tenantKeys.holdActive(trx, tenantId);
  if (row !== undefined) return await tenantKeys.unwrap(trx, row);
  if (await tenantKeys.hasAny(trx, tenantId)) {
    // A rotation may have committed between what the look saw and the lock it took.
    const next = await tenantKeys.holdActive(trx, tenantId);
    if (next !== undefined) return await tenantKeys.unwrap(trx, next);
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

/**
 * Unwraps all usable keys of a tenant: its older versions are under earlier ones.
 * @throws SecretsError `ERR_SECRETS_KEY_COLD`, and as a root key does that is asked
 */
export async function warmKeks(scope: Scope, trx: Knex.Transaction | undefined): Promise<void> {
  const { connections, tenantKeys, tenantId } = scope;
  const rows = await connections.read(trx, tenantId, (db) => tenantKeys.all(db, tenantId));
  // One after the other: a remote root key has other callers too.
  for (const row of rows) {
    if (row.status === 'active' || row.status === 'decrypt-only') await tenantKeys.unwrap(connections.raw(trx), row);
  }
}

async function storeKek(scope: Scope, db: Knex, prepared: PreparedKey): Promise<Keyring> {
  const { row, made } = await scope.tenantKeys.insert(db, prepared);
  if (made) {
    // The tenant got a key since there was none, and that was taken out of use again: it is not replaced.
    const { length } = await scope.tenantKeys.all(db, scope.tenantId);
    if (length > 1) throw new SecretsError('ERR_SECRETS_KEY_UNAVAILABLE', { context: { tenantId: scope.tenantId } });
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
