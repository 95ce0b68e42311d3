import type { Knex } from 'knex';
import type { Dialect } from '../dialects/dialect.ts';
import { SecretsError } from '../errors.ts';
import { asRows } from '../internal/rows.ts';
import { withOwnersRights } from '../isolation/migrating.ts';
import type { Tables } from '../tables.ts';
import { initial } from './001-initial.ts';
import { complete } from './002-complete.ts';
import type { Migration } from './migration.ts';
import { foreign, recognise, refuseForeignTables } from './recognise.ts';

export const MIGRATIONS: readonly Migration[] = [initial, complete];

/** Names of the migrations that have run and that have still to run, in their order. */
export interface MigrationStatus {
  readonly applied: readonly string[];
  readonly pending: readonly string[];
  /**
   * Of those pending: whose tables are there without a record of it, as after a restore. The next `migrate()` records
   * them instead of running them.
   */
  readonly unrecorded: readonly string[];
}

/**
 * Runs what has not run yet, in the given transaction, which holds the migration lock.
 *
 * @param count how many of the migrations; all of them unless given
 * @throws SecretsError `ERR_SECRETS_FOREIGN_TABLE`, `ERR_SECRETS_SCHEMA_NEWER`
 */
export async function runMigrations(
  trx: Knex,
  dialect: Dialect,
  tables: Tables,
  count: number = MIGRATIONS.length,
): Promise<MigrationStatus> {
  const { applied, unrecorded } = await readStatus(trx, dialect, tables);
  await trx.raw(
    `create table if not exists ?? (name varchar(64) primary key, applied_at ${dialect.types.timestamp} not null)`,
    [tables.migrations],
  );
  for (const [index, migration] of MIGRATIONS.entries()) {
    const there = unrecorded.includes(migration.name);
    if (applied.includes(migration.name) || (index >= count && !there)) continue;
    if (!there) await withOwnersRights(trx, dialect, tables, () => migration.up(trx, dialect, tables));
    await trx(tables.migrations).insert({ name: migration.name, applied_at: new Date() });
  }
  return await readStatus(trx, dialect, tables);
}

/**
 * What has run, of a database that may be nobody's yet or somebody else's. Changes nothing. `db` must be a transaction:
 * beside a process that migrates, its statements would see one half of the tables each.
 * @throws SecretsError `ERR_SECRETS_FOREIGN_TABLE`, `ERR_SECRETS_SCHEMA_NEWER`
 */
export async function readStatus(db: Knex, dialect: Dialect, tables: Tables): Promise<MigrationStatus> {
  const recorded = await readRecord(db, dialect, tables);
  if (recorded.applied.length > 0) {
    await refuseForeignTables(db, dialect, tables, recorded.applied.length);
    return recorded;
  }
  const count = await recognise(db, dialect, tables);
  return { ...recorded, unrecorded: recorded.pending.slice(0, count) };
}

/**
 * What has run, in one query, of a database that is the store's.
 * @throws SecretsError `ERR_SECRETS_SCHEMA_NEWER`; the driver's error where the table is missing
 */
export async function readMigrations(db: Knex, tables: Tables): Promise<MigrationStatus> {
  const rows = asRows<{ name: string }>(await db(tables.migrations).select('name').orderBy('name'));
  const known = MIGRATIONS.map(({ name }) => name);
  const applied = rows.map(({ name }) => name);
  if (applied.some((name) => !known.includes(name))) throw new SecretsError('ERR_SECRETS_SCHEMA_NEWER');
  return { applied, pending: known.filter((name) => !applied.includes(name)), unrecorded: [] };
}

/**
 * As {@link readMigrations}, but there may be no record, and a table of its name with other columns or other rows is
 * somebody else's.
 *
 * @throws SecretsError `ERR_SECRETS_FOREIGN_TABLE`, `ERR_SECRETS_SCHEMA_NEWER`
 */
export async function readRecord(db: Knex, dialect: Dialect, tables: Tables): Promise<MigrationStatus> {
  const table = tables.plain('secret_migrations');
  if (!(await dialect.hasTable(db, table, tables.schema))) {
    return { applied: [], pending: MIGRATIONS.map(({ name }) => name), unrecorded: [] };
  }
  const { columns } = await dialect.shapeOf(db, table, tables.schema);
  const names = columns.map((column) => column.split(' ', 1)[0]);
  if (names.toSorted().join() !== 'applied_at,name') throw foreign(tables, 'migrations');
  const rows = asRows<{ name: string }>(await db(tables.migrations).select('name'));
  if (rows.length > 0 && !rows.some(({ name }) => name === initial.name)) throw foreign(tables, 'migrations');
  return await readMigrations(db, tables);
}
