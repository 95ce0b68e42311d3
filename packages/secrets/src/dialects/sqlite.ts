import type { Knex } from 'knex';
import { invalidArgument } from '../arguments.ts';
import { asRows } from '../internal/rows.ts';
import type { Tables } from '../tables.ts';
import { sqliteConditions } from './conditions.ts';
import type { Dialect, TableShape } from './dialect.ts';
import { numberLeavesSqlite } from './number-leaves.ts';
import { updateManySqlite } from './update-many.ts';

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
  snapshot: {},

  async beginWrite(trx: Knex, tables: Tables): Promise<void> {
    // knex begins deferred transactions. One that reads first fails with SQLITE_BUSY when another wrote meanwhile,
    // without waiting; one that starts with a write waits for its turn.
    await trx(tables.migrations).whereRaw('1 = 0').delete();
  },

  isLockConflict(error: unknown): boolean {
    // Two that read and both want to write would wait for each other for ever, so SQLite refuses one at once.
    return String((error as { code?: unknown } | undefined)?.code).startsWith('SQLITE_BUSY');
  },

  async limitLockWait(): Promise<void> {
    // a transaction that writes has the only lock from its start
  },

  isLockTimeout(): boolean {
    return false;
  },

  async now(): Promise<Date> {
    return new Date(); // the file is on one machine, and so are its processes
  },

  async lockForMigration(trx: Knex, tables: Tables): Promise<void> {
    await trx.raw('create table if not exists ?? (name text primary key, applied_at integer not null)', [
      tables.migrations,
    ]);
    await sqlite.beginWrite(trx, tables);
  },

  async shapeOf(db: Knex, table: string): Promise<TableShape> {
    const columns = asRows<{ name: string; type: string; required: number; key: number }>(
      await db.raw('select name, type, "notnull" as required, pk as key from pragma_table_info(?)', [table]),
    );
    const indexes = asRows<{ name: string }>(
      await db.raw(`select name || case "unique" when 1 then ' unique' else '' end as name from pragma_index_list(?)`, [
        table,
      ]),
    );
    return {
      columns: columns.map(({ name, type, required, key }) => {
        const mark = key === 0 ? (required === 0 ? ' null' : '') : ` key ${key}`;
        return `${name} ${type.toLowerCase()}${mark}`;
      }),
      indexes: indexes.map(({ name }) => name),
    };
  },

  async refuseBlindness(): Promise<void> {
    // there is no row-level security
  },

  jsonText(_db: Knex, column: string): string {
    return column;
  },

  conditions: sqliteConditions,

  isUniqueViolation(error: unknown): boolean {
    return (error as { code?: unknown } | undefined)?.code === 'SQLITE_CONSTRAINT_UNIQUE';
  },

  updateMany: updateManySqlite,

  numberLeaves: numberLeavesSqlite,

  statements: undefined,

  async hasTable(trx: Knex, table: string, schema: string | undefined): Promise<boolean> {
    if (schema !== undefined) throw invalidArgument('tables.schema', 'nothing on SQLite', 'a schema');
    // names are compared without case, and views and indexes are among them
    const rows = (await trx('sqlite_master').whereRaw('lower(name) = ?', [table]).select('name')) as readonly object[];
    return rows.length > 0;
  },
};
