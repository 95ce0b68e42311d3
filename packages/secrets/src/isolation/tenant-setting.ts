import type { Knex } from 'knex';
import { databaseError } from '../internal/database-error.ts';

/** The setting that the policies of row-level security compare with a row's tenant. */
export const TENANT_SETTING = 'keywright.tenant_id';

/** Makes a tenant's rows visible until the transaction, or the savepoint it is in, ends. Returns what was set before. */
export async function setTenant(trx: Knex, tenantId: string): Promise<string> {
  try {
    // Materialized, so that what was set before is read before it is set.
    const { rows } = (await trx.raw(
      `with old as materialized (select current_setting(?, true) as tenant)
       select coalesce(tenant, '') as before, set_config(?, ?, true) as now from old`,
      [TENANT_SETTING, TENANT_SETTING, tenantId],
    )) as { rows: readonly { before: string }[] };
    return rows[0]?.before ?? '';
  } catch (error) {
    throw databaseError(error, 'isolate');
  }
}

/**
 * Runs `work` where a tenant's rows are visible, in a transaction, and makes visible again what was before. Work that
 * throws may leave the transaction aborted: whoever rolls it back, wholly or to a savepoint, undoes the setting too.
 */
export async function withTenant<T>(trx: Knex, tenantId: string, work: () => Promise<T>): Promise<T> {
  const before = await setTenant(trx, tenantId);
  let result: T;
  try {
    result = await work();
  } catch (error) {
    if (before !== tenantId) await setTenant(trx, before).catch(() => undefined);
    throw error;
  }
  if (before !== tenantId) await setTenant(trx, before);
  return result;
}
