import type { Knex } from 'knex';
import { checkTenantId } from '../arguments.ts';
import { checkKnex, checkOpen } from '../connections.ts';
import { dialectOf } from '../dialects/index.ts';
import { SecretsError } from '../errors.ts';
import { holdingTurn, inSavepoint } from '../internal/callers-transaction.ts';
import { setTenant, withTenant } from './tenant-setting.ts';

/**
 * Runs `work` where row-level security shows one tenant's rows of the host's own tables, and of the store's. Given a
 * pool, `work` gets a transaction of its own. Given a transaction, it runs in a savepoint of that, and afterwards the
 * tenant is the one from before; scopes may be nested, and those started together in one transaction take turns. It ends
 * after the scopes and calls of the store that `work` started in it, also those that it did not wait for. It
 * protects tables that the SQL of `hostTableSecuritySql()` was run for, and from roles that it holds for.
 *
 * Precondition: statements of yours in the same transaction, outside of `work`, do not run at the same time.
 *
 * @param work what it throws rolls back what it did, and is passed on as it is
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`, `ERR_SECRETS_UNSUPPORTED_DATABASE` (SQLite has no row-level
 * security), `ERR_SECRETS_DATABASE` where the tenant cannot be set
 *
 * @example
 * ```ts
 * import { tenantScope } from '@keywright/secrets';
 * import createKnex from 'knex';
 *
 * const knex = createKnex({ client: 'pg', connection: process.env.DATABASE_URL ?? '' });
 * const invoices = await tenantScope(knex, 'acme', (trx) => trx('invoices').select('id', 'total'));
 * ```
 */
export async function tenantScope<T>(
  knex: Knex | Knex.Transaction,
  tenantId: string,
  work: (trx: Knex.Transaction) => Promise<T>,
): Promise<T> {
  const db = checkKnex(knex, 'knex');
  const dialect = dialectOf(db);
  if (dialect.name !== 'postgres') {
    throw new SecretsError('ERR_SECRETS_UNSUPPORTED_DATABASE', { context: { driver: dialect.name } });
  }
  const tenant = checkTenantId(tenantId);
  if (!db.isTransaction) {
    return await db.transaction(async (trx) => {
      await setTenant(trx, tenant);
      return await work(trx);
    });
  }
  const trx = checkOpen(db as Knex.Transaction);
  return await holdingTurn(trx, (part) =>
    inSavepoint(trx, (inside) => withTenant(inside, tenant, () => part(() => work(inside)))),
  );
}
