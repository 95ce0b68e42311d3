import type { Knex } from 'knex';
import { asRow, asRows } from '../internal/rows.ts';
import type { Tables } from '../tables.ts';

/** What one row of the audit log is found by. */
export interface AuditRowKey {
  readonly tenant_id: string;
  readonly id: string;
}

/** One statement; the keys travel as two arrays, and their order gives the leaves. */
export async function numberLeavesPostgres(
  trx: Knex,
  tables: Tables,
  keys: readonly AuditRowKey[],
  first: number,
): Promise<number> {
  // A batch is small beside the log, but not beside one that was just begun and analysed: no hash of the whole table.
  await trx.raw('set local enable_hashjoin = off');
  await trx.raw('set local enable_mergejoin = off');
  const result = (await trx.raw(
    `with numbered as (
       update ?? as t set leaf_index = ?::bigint + v.n - 1
       from unnest(?::text[], ?::uuid[]) with ordinality as v(tenant_id, id, n)
       where t.tenant_id = v.tenant_id and t.id = v.id and t.leaf_index is null returning 1
     ) select count(*)::integer as count from numbered`,
    [tables.auditLog, first, keys.map((key) => key.tenant_id), keys.map((key) => key.id)] as never,
  )) as { readonly rows: readonly { readonly count: number }[] };
  return Number(result.rows[0]?.count);
}

/** One statement; the keys travel as one JSON text. */
export async function numberLeavesSqlite(
  trx: Knex,
  tables: Tables,
  keys: readonly AuditRowKey[],
  first: number,
): Promise<number> {
  const json = JSON.stringify(keys.map(({ tenant_id, id }) => [tenant_id, id]));
  await trx.raw(
    `update ?? as t set leaf_index = ? + v.key
     from (select key, value ->> 0 as tenant_id, value ->> 1 as id from json_each(?)) as v
     where t.tenant_id = v.tenant_id and t.id = v.id and t.leaf_index is null`,
    [tables.auditLog, first, json],
  );
  const rows: unknown = await trx.raw('select changes() as count');
  return Number(asRow<{ count: number }>(asRows(rows)[0])?.count);
}
