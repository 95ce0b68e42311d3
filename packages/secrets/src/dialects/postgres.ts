import type { Knex } from 'knex';
import type { Tables } from '../tables.ts';
import type { Dialect } from './dialect.ts';

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

  async beginWrite(): Promise<void> {
    // row locks are taken where they are needed
  },

  isLockConflict(): boolean {
    return false; // PostgreSQL waits
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

  async columnsOf(trx: Knex, table: string, schema: string | undefined): Promise<readonly string[]> {
    const { rows } = (await trx.raw(
      'select attname::text as name from pg_attribute where attrelid = to_regclass(?) and attnum > 0 and not attisdropped',
      [regclass(table, schema)],
    )) as { rows: readonly { name: string }[] };
    return rows.map(({ name }) => name);
  },

  jsonText(db: Knex, column: string): Knex.Raw {
    return db.raw('??::text as ??', [column, column.replace(/^.*\./, '')]);
  },

  async hasTable(trx: Knex, table: string, schema: string | undefined): Promise<boolean> {
    const { rows } = (await trx.raw('select to_regclass(?) is not null as present', [regclass(table, schema)])) as {
      rows: readonly { present: boolean }[];
    };
    return rows[0]?.present === true;
  },
};

function regclass(table: string, schema: string | undefined): string {
  return schema === undefined ? `"${table}"` : `"${schema}"."${table}"`;
}
