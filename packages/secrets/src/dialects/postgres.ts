import type { Knex } from 'knex';
import { SecretsError } from '../errors.ts';
import { asRows } from '../internal/rows.ts';
import { quoted, type Tables } from '../tables.ts';
import { postgresConditions } from './conditions.ts';
import type { Dialect, TableShape } from './dialect.ts';
import { numberLeavesPostgres } from './number-leaves.ts';
import { auditStatement } from './postgres/audit-statement.ts';
import { getStatement } from './postgres/get-statement.ts';
import { saveStateStatement } from './postgres/save-state-statement.ts';
import { saveStatement } from './postgres/save-statement.ts';
import { updateManyPostgres } from './update-many.ts';

/** PostgreSQL 15 and later, and what speaks its protocol. */
export const postgres: Dialect = {
  name: 'postgres',
  types: {
    bytes: 'bytea',
    json: 'jsonb',
    timestamp: 'timestamptz(3)',
    uuid: 'uuid',
    boolean: 'boolean',
    rowCount: 'bigint generated always as identity primary key',
  },
  concurrentWriters: true,
  // "on conflict do nothing, then look again" needs to see what the other transaction committed.
  transaction: { isolationLevel: 'read committed' },
  snapshot: { isolationLevel: 'repeatable read', readOnly: true },

  async beginWrite(): Promise<void> {
    // row locks are taken where they are needed
  },

  isLockConflict(): boolean {
    return false; // PostgreSQL waits
  },

  async limitLockWait(trx: Knex, ms: number): Promise<void> {
    await trx.raw("select set_config('lock_timeout', ?, true)", [`${ms}ms`]);
  },

  isLockTimeout(error: unknown): boolean {
    return (error as { code?: unknown } | undefined)?.code === '55P03';
  },

  async now(db: Knex): Promise<Date> {
    const { rows } = (await db.raw('select (extract(epoch from clock_timestamp()) * 1000)::float8 as now')) as {
      rows: readonly { now: number }[];
    };
    return new Date(Number(rows[0]?.now));
  },

  async lockForMigration(trx: Knex, tables: Tables): Promise<void> {
    // Released with the transaction, so a killed migrator blocks nobody.
    await trx.raw('select pg_advisory_xact_lock(hashtextextended(?, 0))', [`keywright ${tables.migrations}`]);
  },

  async shapeOf(db: Knex, table: string, schema: string | undefined): Promise<TableShape> {
    const { sql: oid, bindings } = lookUp(table, schema);
    const columns = await select<{ name: string; type: string; required: boolean; key: string | null }>(
      db,
      `select a.attname::text as name, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as required, k.at::text as key
       from pg_attribute a
       left join pg_index i on i.indrelid = a.attrelid and i.indisprimary
       left join lateral unnest(i.indkey::int2[]) with ordinality as k(attnum, at) on k.attnum = a.attnum
       where a.attrelid = ${oid} and a.attnum > 0 and not a.attisdropped`,
      bindings,
    );
    const indexes = await select<{ name: string }>(
      db,
      `select c.relname || case when i.indisunique then ' unique' else '' end as name from pg_index i join pg_class c on c.oid = i.indexrelid
       where i.indrelid = ${oid} and i.indisvalid`,
      bindings,
    );
    return {
      columns: columns.map(({ name, type, required, key }) => {
        const mark = key === null ? (required ? '' : ' null') : ` key ${key}`;
        return `${name} ${plainType(type)}${mark}`;
      }),
      indexes: indexes.map(({ name }) => name),
    };
  },

  async refuseBlindness(db: Knex, table: string): Promise<void> {
    const [row] = await select<{ blind: boolean }>(db, 'select row_security_active(?::regclass) as blind', [
      quoted(table),
    ]);
    if (row?.blind === true) throw new SecretsError('ERR_SECRETS_RLS_BLIND', { context: { table } });
  },

  jsonText(db: Knex, column: string): Knex.Raw {
    return db.raw('??::text as ??', [column, column.replace(/^.*\./, '')]);
  },

  conditions: postgresConditions,

  isUniqueViolation(error: unknown): boolean {
    return (error as { code?: unknown } | undefined)?.code === '23505';
  },

  updateMany: updateManyPostgres,

  numberLeaves: numberLeavesPostgres,

  statements: { get: getStatement, audit: auditStatement, saveState: saveStateStatement, save: saveStatement },

  async hasTable(db: Knex, table: string, schema: string | undefined): Promise<boolean> {
    const { sql: oid, bindings } = lookUp(table, schema);
    const [row] = await select<{ present: boolean }>(db, `select ${oid} is not null as present`, bindings);
    return row?.present === true;
  },
};

/**
 * A table's oid in SQL. Not by to_regclass, whose cache may not know yet what another migrating process has just
 * committed.
 */
function lookUp(table: string, schema: string | undefined): { readonly sql: string; readonly bindings: string[] } {
  const path = schema === undefined ? 'current_schemas(true)' : 'array[?]::name[]';
  const sql = `(select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relname = ? and n.nspname = any(${path}) order by array_position(${path}, n.nspname) limit 1)`;
  return { sql, bindings: schema === undefined ? [table] : [table, schema, schema] };
}

/** As the migrations write it. */
function plainType(type: string): string {
  return type.replace('character varying', 'varchar').replace(/^timestamp\((\d)\) with time zone$/, 'timestamptz($1)');
}

async function select<Row>(db: Knex, sql: string, bindings: readonly string[]): Promise<readonly Row[]> {
  return asRows<Row>(((await db.raw(sql, bindings)) as { readonly rows: unknown }).rows);
}
