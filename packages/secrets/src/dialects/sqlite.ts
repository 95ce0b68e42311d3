import type { Knex } from 'knex';
import { invalidArgument } from '../arguments.ts';
import { asRows } from '../internal/rows.ts';
import type { Tables } from '../tables.ts';
import type { Dialect } from './dialect.ts';

/** SQLite by better-sqlite3: one writer at a time, no row-level security. */
export const sqlite: Dialect = {
  name: 'sqlite',
  types: {
    bytes: 'blob',
    json: 'text',
    // Milliseconds since 1970, as knex binds a Date for SQLite.
    timestamp: 'integer',
    uuid: 'text',
    boolean: 'boolean',
    rowCount: 'integer primary key autoincrement',
  },
  concurrentWriters: false,
  transaction: {},

  async beginWrite(trx: Knex, tables: Tables): Promise<void> {
    // knex begins deferred transactions. One that reads first fails with SQLITE_BUSY when another wrote meanwhile,
    // without waiting; one that starts with a write waits for its turn.
    await trx(tables.migrations).whereRaw('1 = 0').delete();
  },

  isLockConflict(error: unknown): boolean {
    // Two that read and both want to write would wait for each other for ever, so SQLite refuses one at once.
    return String((error as { code?: unknown } | undefined)?.code).startsWith('SQLITE_BUSY');
  },

  async now(): Promise<Date> {
    return new Date(); // the file is on one machine, and so are its processes
  },

  async lockForMigration(trx: Knex, tables: Tables): Promise<void> {
    if (tables.schema !== undefined) throw invalidArgument('tables.schema', 'nothing on SQLite', 'a schema');
    await trx.raw('create table if not exists ?? (name text primary key, applied_at integer not null)', [
      tables.migrations,
    ]);
    await sqlite.beginWrite(trx, tables);
  },

  async columnsOf(trx: Knex, table: string): Promise<readonly string[]> {
    const rows = asRows<{ name: string }>(await trx.raw('select name from pragma_table_info(?)', [table]));
    return rows.map(({ name }) => name);
  },

  jsonText(_db: Knex, column: string): string {
    return column;
  },

  async hasTable(trx: Knex, table: string): Promise<boolean> {
    const rows = (await trx('sqlite_master').where({ type: 'table', name: table }).select('name')) as readonly object[];
    return rows.length > 0;
  },
};
