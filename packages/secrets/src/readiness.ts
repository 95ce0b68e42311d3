import type { Knex } from 'knex';
import { SYSTEM_TENANT } from './arguments.ts';
import type { StoreCore } from './core.ts';
import { SecretsError } from './errors.ts';
import { atomically } from './internal/transactions.ts';
import { verifyRootKeys } from './keys/root-keys.ts';
import type { TenantKeyRow } from './keys/tenant-keys.ts';
import { readMigrations } from './migrations/index.ts';

/** What is made ready. */
type ReadinessParts = Omit<StoreCore, 'options' | 'logger' | 'ready'>;

/**
 * What must hold before a store touches a secret: the schema is of this release, the root key is the one this database
 * was written with, and the audit key is at hand. Returns the audit key's id, which no other database has.
 *
 * @throws SecretsError `ERR_SECRETS_NOT_MIGRATED`, `ERR_SECRETS_SCHEMA_NEWER`, `ERR_SECRETS_ROOT_KEY_WRONG`,
 * `ERR_SECRETS_ROOT_KEY_MISSING`, `ERR_SECRETS_INTEGRITY`, `ERR_SECRETS_KEY_UNAVAILABLE`, `ERR_SECRETS_RLS_INEFFECTIVE`
 */
export async function makeReady(db: Knex, parts: ReadinessParts): Promise<string> {
  const { connections, tables, root, tenantKeys, audit } = parts;
  const { pending } = await readMigrations(db, tables);
  if (pending.length > 0) throw new SecretsError('ERR_SECRETS_NOT_MIGRATED');
  await connections.verifyIsolation(db);
  const census = connections.isolated ? 'status' : 'tenant-keys';
  tenantKeys.rememberRootKeys(await verifyRootKeys(db, tables, root, parts.rootTimeoutMs, census));
  const found = await connections.scoped(db, SYSTEM_TENANT, (inside) => findAuditKey(inside, parts));
  const row = found ?? (await makeAuditKey(db, parts));
  audit.useKey(await tenantKeys.unwrap(db, row));
  return row.kek_id;
}

/** `undefined` for a store that is used for the first time. */
async function findAuditKey(db: Knex, parts: ReadinessParts): Promise<TenantKeyRow | undefined> {
  const { connections, tables, tenantKeys, audit } = parts;
  const found = await tenantKeys.findActive(db, SYSTEM_TENANT);
  if (found !== undefined) return found;
  // These first, then the key again: another process may be making key and first audit row, in one transaction.
  const lost = await tenantKeys.hasAny(db, SYSTEM_TENANT);
  const used = await audit.hasRows(db);
  // Where the database isolates tenants, only the store's own rows can be seen here, and they may have been pruned. The
  // first root key was registered together with the audit key.
  const registered = connections.isolated && (await db(tables.rootKeys).first('kid')) !== undefined;
  const again = await tenantKeys.findActive(db, SYSTEM_TENANT);
  if (again !== undefined) return again;
  const context = { tenantId: SYSTEM_TENANT };
  if (lost) throw new SecretsError('ERR_SECRETS_KEY_UNAVAILABLE', { context });
  // Somebody removed the key under which every audit row is authentic. A new one would make the log look forged.
  if (used || registered) throw new SecretsError('ERR_SECRETS_INTEGRITY', { context });
  return undefined;
}

async function makeAuditKey(db: Knex, parts: ReadinessParts): Promise<TenantKeyRow> {
  const { connections, tables, tenantKeys, audit } = parts;
  const prepared = await tenantKeys.prepare(db, SYSTEM_TENANT);
  const { row, made } = await atomically(db, connections.dialect, tables, (trx) =>
    connections.scoped(trx, SYSTEM_TENANT, async () => {
      const inserted = await tenantKeys.insert(trx, prepared);
      if (!inserted.made) return inserted;
      audit.useKey(prepared.kek);
      await audit.record(trx, {
        tenantId: SYSTEM_TENANT,
        actor: SYSTEM_TENANT,
        action: 'tenant-key.create',
        outcome: 'success',
        context: { key: inserted.row.kek_id },
      });
      return inserted;
    }),
  );
  if (made && !db.isTransaction) tenantKeys.remember(SYSTEM_TENANT, prepared.kek);
  return row;
}
