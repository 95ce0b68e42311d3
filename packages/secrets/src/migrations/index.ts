import type { Knex } from 'knex';
import type { Dialect } from '../dialects/dialect.ts';
import { SecretsError } from '../errors.ts';
import { asRows } from '../internal/rows.ts';
import type { Tables } from '../tables.ts';
import { initial } from './001-initial.ts';
import { complete } from './002-complete.ts';
import type { Migration } from './migration.ts';

const MIGRATIONS: readonly Migration[] = [initial, complete];

/** Names of the migrations that have run and that have still to run. */
export interface MigrationStatus {
  readonly applied: readonly string[];
  readonly pending: readonly string[];
}

/**
 * Runs what has not run yet, in the given transaction, which holds the migration lock.
 *
 * @throws SecretsError `ERR_SECRETS_FOREIGN_TABLE`, `ERR_SECRETS_SCHEMA_NEWER`
 */
export async function runMigrations(trx: Knex, dialect: Dialect, tables: Tables): Promise<MigrationStatus> {
  await trx.raw(
    `create table if not exists ?? (name varchar(64) primary key, applied_at ${dialect.types.timestamp} not null)`,
    [tables.migrations],
  );
  const before = await readOwnMigrations(trx, dialect, tables);
  if (before.applied.length === 0) await refuseForeignTables(trx, dialect, tables);
  for (const migration of MIGRATIONS) {
    if (before.applied.includes(migration.name)) continue;
    await migration.up(trx, dialect, tables);
    await trx(tables.migrations).insert({ name: migration.name, applied_at: new Date() });
  }
  return { applied: MIGRATIONS.map(({ name }) => name), pending: [] };
}

/**
 * What has run, without changing anything.
 * @throws SecretsError `ERR_SECRETS_SCHEMA_NEWER`; the driver's error where the table is missing
 */
export async function readMigrations(db: Knex, tables: Tables): Promise<MigrationStatus> {
  const rows = asRows<{ name: string }>(await db(tables.migrations).select('name').orderBy('name'));
  const known = MIGRATIONS.map(({ name }) => name);
  const applied = rows.map(({ name }) => name);
  if (applied.some((name) => !known.includes(name))) throw new SecretsError('ERR_SECRETS_SCHEMA_NEWER');
  return { applied, pending: known.filter((name) => !applied.includes(name)) };
}

/** As {@link readMigrations}, but a table of that name with other columns or other rows is somebody else's. */
async function readOwnMigrations(trx: Knex, dialect: Dialect, tables: Tables): Promise<MigrationStatus> {
  const table = tables.plain('secret_migrations');
  const columns = await dialect.columnsOf(trx, table, tables.schema);
  const ours = columns.toSorted().join() === 'applied_at,name';
  const names = ours ? asRows<{ name: string }>(await trx(tables.migrations).select('name')) : [];
  if (!ours || (names.length > 0 && !names.some(({ name }) => name === initial.name))) {
    throw new SecretsError('ERR_SECRETS_FOREIGN_TABLE', { context: { table } });
  }
  return await readMigrations(trx, tables);
}

async function refuseForeignTables(trx: Knex, dialect: Dialect, tables: Tables): Promise<void> {
  for (const table of ['secret_root_keys', 'secret_tenant_keys', 'secrets', 'secret_versions', 'secret_audit_log']) {
    if (await dialect.hasTable(trx, tables.plain(table), tables.schema)) {
      throw new SecretsError('ERR_SECRETS_FOREIGN_TABLE', { context: { table: tables.plain(table) } });
    }
  }
}
