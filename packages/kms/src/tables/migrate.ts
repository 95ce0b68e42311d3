import { setTimeout as sleep } from 'node:timers/promises';
import type { Knex } from 'knex';
import { readOptions } from '../arguments.ts';
import { KmsError } from '../errors.ts';
import { typed } from '../internal/database-error.ts';
import { type Database, databaseOf } from './database.ts';
import { apply, MIGRATIONS } from './migrations.ts';
import { createKmsTables, type KmsTableName, type KmsTableOptions, type KmsTables, TABLE_NAMES } from './names.ts';
import { asRows } from './rows.ts';

const MAX_WAIT_MS = 10_000;
const MAX_PAUSE_MS = 100;
const RECORD_COLUMNS = 'applied_at,name';
/** How many migrations there are. */
export const MIGRATION_COUNT: number = MIGRATIONS.length;
const MIGRATION_NAME = /^\d{3}-[a-z][a-z-]*$/;

/** Options of {@link migrateKmsTables}. */
export interface MigrateKmsTablesOptions {
  /** Where the tables are to be. In a transaction, they are made in it. */
  readonly knex: Knex;
  readonly tables?: KmsTableOptions | undefined;
}

/** Names of the migrations that had run before, and that were run now, in their order. */
export interface KmsMigrationReport {
  readonly before: readonly string[];
  readonly ran: readonly string[];
}

/**
 * Makes or completes the tables of this package: those of keys and of the `db` provider. Processes that start together
 * take turns; all but the first find nothing to do.
 *
 * @throws KmsError `ERR_KMS_FOREIGN_TABLE`, `ERR_KMS_SCHEMA_NEWER`, `ERR_KMS_UNSUPPORTED_DATABASE`, `ERR_KMS_DATABASE`,
 * `ERR_KMS_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { migrateKmsTables } from '@keywright/kms';
 * import knex from 'knex';
 *
 * const db = knex({ client: 'better-sqlite3', connection: { filename: ':memory:' }, useNullAsDefault: true });
 * await migrateKmsTables({ knex: db });
 * ```
 */
export async function migrateKmsTables(options: MigrateKmsTablesOptions): Promise<KmsMigrationReport> {
  const { knex, tables } = readOptions(options, 'options', (given) => ({
    knex: given.knex as Knex,
    tables: createKmsTables(given.tables),
  }));
  return await migrateUpTo(knex, tables, MIGRATION_COUNT);
}

/** @param count how many of the migrations are to have run */
export async function migrateUpTo(knex: Knex, tables: KmsTables, count: number): Promise<KmsMigrationReport> {
  const database = databaseOf(knex);
  return await typed('migrate', async () => {
    // Without the lock first: most starts of a service find nothing to do, and their role may not be allowed to.
    const before = await readRecord(knex, database, tables);
    if (before.length >= count) return { before, ran: [] };
    return await inTurn(knex, database, tables, (trx) => run(trx, database, tables, count));
  });
}

/** What has run. @throws KmsError `ERR_KMS_FOREIGN_TABLE`, `ERR_KMS_SCHEMA_NEWER` */
export async function readRecord(db: Knex, database: Database, tables: KmsTables): Promise<readonly string[]> {
  const columns = await database.columnsOf(db, tables.plain(TABLE_NAMES.migrations), tables.schema);
  if (columns.length === 0) return [];
  if (columns.join() !== RECORD_COLUMNS) throw foreign(tables, 'migrations');
  const rows = asRows<{ name: unknown }>(await db(tables.migrations).select('name').orderBy('name'));
  for (const { name } of rows) {
    if (MIGRATIONS.some((migration) => migration.name === name)) continue;
    if (typeof name === 'string' && MIGRATION_NAME.test(name)) throw new KmsError('ERR_KMS_SCHEMA_NEWER');
    throw foreign(tables, 'migrations');
  }
  return rows.map(({ name }) => name as string);
}

async function run(trx: Knex, database: Database, tables: KmsTables, count: number): Promise<KmsMigrationReport> {
  const before = await readRecord(trx, database, tables);
  const pending = MIGRATIONS.slice(0, count).filter(({ name }) => !before.includes(name));
  for (const table of pending.flatMap((migration) => migration.tables)) {
    const columns = await database.columnsOf(trx, tables.plain(TABLE_NAMES[table]), tables.schema);
    if (columns.length > 0) throw foreign(tables, table);
  }
  const { timestamp } = database.types;
  const record = `create table if not exists ?? (name varchar(64) primary key, applied_at ${timestamp} not null)`;
  await trx.raw(record, [tables.migrations]);
  for (const migration of pending) {
    await apply(trx, database, tables, migration);
    await trx(tables.migrations).insert({ name: migration.name, applied_at: database.now(trx) });
  }
  return { before, ran: pending.map(({ name }) => name) };
}

/** Runs `work` in a transaction that holds the lock of migrations. Where one is busy instead of waiting, it starts over. */
export async function inTurn<T>(
  knex: Knex,
  database: Database,
  tables: KmsTables,
  work: (trx: Knex.Transaction) => Promise<T>,
): Promise<T> {
  const start = performance.now();
  for (;;) {
    try {
      return await knex.transaction(async (trx) => {
        await database.lockForMigration(trx, tables, knex.isTransaction === true);
        return await work(trx);
      }, database.transaction);
    } catch (error) {
      const waited = performance.now() - start;
      if (knex.isTransaction || waited > MAX_WAIT_MS || !database.isLockConflict(error)) throw error;
      await sleep(Math.random() * MAX_PAUSE_MS);
    }
  }
}

function foreign(tables: KmsTables, table: KmsTableName): KmsError {
  return new KmsError('ERR_KMS_FOREIGN_TABLE', { context: { table: tables.plain(TABLE_NAMES[table]) } });
}
