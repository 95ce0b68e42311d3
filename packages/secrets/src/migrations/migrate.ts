import type { Knex } from 'knex';
import { invalidArgument, kindOf, readOptions } from '../arguments.ts';
import { Connections } from '../connections.ts';
import { inSavepoint } from '../internal/callers-transaction.ts';
import { typed } from '../internal/database-error.ts';
import { retried } from '../internal/retried.ts';
import { lockedTransaction } from '../internal/transactions.ts';
import { createTables, type TableOptions, type Tables } from '../tables.ts';
import { MIGRATIONS, type MigrationStatus, readRecord, readStatus, runMigrations } from './index.ts';
import { countUpTo, type RollbackOptions, rollBack } from './rollback.ts';

/** Options of {@link migrateSecretStore}. */
export interface MigrateOptions {
  readonly knex: Knex;
  readonly tables?: TableOptions | undefined;
  /** Runs in this transaction instead of one of its own; the tables are there when it commits. */
  readonly trx?: Knex.Transaction | undefined;
}

/** Options of {@link rollbackSecretMigration}. */
export interface RollbackMigrationOptions extends MigrateOptions, RollbackOptions {}

/**
 * Creates or upgrades the tables of a store, without a root key: for a deployment job. Replicas may call it together.
 * Tables of the store that nobody recorded, as after a restore, are recorded. Needs CREATE on the schema, and nothing
 * where there is nothing to do.
 *
 * @throws SecretsError `ERR_SECRETS_FOREIGN_TABLE`, `ERR_SECRETS_SCHEMA_NEWER`, `ERR_SECRETS_UNSUPPORTED_DATABASE`,
 * `ERR_SECRETS_INVALID_ARGUMENT`, `ERR_SECRETS_DATABASE_PERMISSION`, `ERR_SECRETS_DATABASE_CLOSED`,
 * `ERR_SECRETS_DATABASE`
 */
export async function migrateSecretStore(options: MigrateOptions): Promise<MigrationStatus> {
  const { connections, tables, trx } = readPlace(options);
  return await migrate(connections, tables, trx);
}

/**
 * Which migrations have run, without changing anything.
 * @throws SecretsError as {@link migrateSecretStore}
 */
export async function secretMigrationStatus(options: MigrateOptions): Promise<MigrationStatus> {
  const { connections, tables, trx } = readPlace(options);
  return await status(connections, tables, trx);
}

/**
 * Undoes the last migration, or all down to `to`. Refuses while what it would drop holds data, unless told otherwise.
 *
 * @throws SecretsError `ERR_SECRETS_DATA_LOSS`, `ERR_SECRETS_RLS_BLIND` (the role cannot see whether there is data), and
 * as {@link migrateSecretStore}
 *
 * @example
 * ```ts
 * import { migrateSecretStore, rollbackSecretMigration } from '@keywright/secrets';
 * import knex from 'knex';
 *
 * const db = knex({ client: 'better-sqlite3', connection: { filename: ':memory:' }, useNullAsDefault: true });
 * await migrateSecretStore({ knex: db });
 * await rollbackSecretMigration({ knex: db, to: 'empty' });
 * ```
 */
export async function rollbackSecretMigration(options: RollbackMigrationOptions): Promise<MigrationStatus> {
  const { connections, tables, trx } = readPlace(options);
  return await rollback(connections, tables, trx, readRollback(options));
}

/** @param count how many of the migrations; all of them unless given */
export async function migrate(
  connections: Connections,
  tables: Tables,
  trx: Knex.Transaction | undefined,
  count: number = MIGRATIONS.length,
): Promise<MigrationStatus> {
  const { dialect } = connections;
  return await typed('migrate', async () => {
    // Without the lock first: most starts of a service find nothing to do, and their role may not be allowed to. Only the
    // record is looked at, which is written last.
    const before = await readRecord(connections.raw(connections.callersTransaction(trx)), dialect, tables);
    if (before.applied.length >= count) return before;
    return await locked(connections, tables, trx, (inside) => runMigrations(inside, dialect, tables, count));
  });
}

export async function status(
  connections: Connections,
  tables: Tables,
  trx: Knex.Transaction | undefined,
): Promise<MigrationStatus> {
  const { dialect } = connections;
  return await typed('migrationStatus', async () => {
    const given = connections.callersTransaction(trx);
    if (given !== undefined) return await readStatus(given, dialect, tables);
    return await connections
      .raw(undefined)
      .transaction((inside) => readStatus(inside, dialect, tables), dialect.snapshot);
  });
}

export async function rollback(
  connections: Connections,
  tables: Tables,
  trx: Knex.Transaction | undefined,
  options: RollbackOptions,
): Promise<MigrationStatus> {
  return await typed('rollbackMigration', () =>
    locked(connections, tables, trx, (inside) => rollBack(inside, connections.dialect, tables, options)),
  );
}

/** A checked copy. @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function readRollback(options: RollbackOptions | undefined): RollbackOptions {
  return readOptions(options, 'options', ({ to, allowDataLoss }) => {
    if (to !== undefined) countUpTo(to);
    if (allowDataLoss !== undefined && typeof allowDataLoss !== 'boolean') {
      throw invalidArgument('allowDataLoss', 'a boolean', kindOf(allowDataLoss));
    }
    return { to, allowDataLoss };
  });
}

/**
 * Replicas that start together take turns; the later ones find nothing to do. Where live traffic and the locks of tables
 * make a deadlock, all of it is run again.
 */
async function locked<T>(
  connections: Connections,
  tables: Tables,
  trx: Knex.Transaction | undefined,
  work: (trx: Knex.Transaction) => Promise<T>,
): Promise<T> {
  const { dialect } = connections;
  const lock = (inside: Knex.Transaction): Promise<void> => dialect.lockForMigration(inside, tables);
  const given = connections.callersTransaction(trx);
  if (given === undefined) {
    return await retried(() => lockedTransaction(connections.raw(undefined), dialect, lock, work));
  }
  return await inSavepoint(given, async (inside) => {
    await lock(inside);
    return await work(inside);
  });
}

function readPlace(options: MigrateOptions): {
  readonly connections: Connections;
  readonly tables: Tables;
  readonly trx: Knex.Transaction | undefined;
} {
  const { knex, tables, trx } = readOptions(options, 'options', (given) => ({ ...given }));
  return { connections: new Connections(knex, undefined), tables: createTables(tables), trx };
}
