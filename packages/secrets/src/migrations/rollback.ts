import type { Knex } from 'knex';
import { invalidArgument } from '../arguments.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { SecretsError } from '../errors.ts';
import { quoted, TABLE_NAMES, type Tables } from '../tables.ts';
import { MIGRATIONS, type MigrationStatus, readStatus } from './index.ts';
import type { Migration } from './migration.ts';

export interface RollbackOptions {
  /**
   * Name of the migration that is to be the last one afterwards, or `empty` for none: no table of the store is left.
   * @default the one before the last that has run
   */
  readonly to?: string | undefined;
  /** Whether what is stored in dropped tables and columns may be lost. @default false */
  readonly allowDataLoss?: boolean | undefined;
}

/**
 * Undoes migrations, the last first, in the given transaction, which holds the migration lock.
 *
 * @throws SecretsError `ERR_SECRETS_DATA_LOSS`, `ERR_SECRETS_RLS_BLIND`, `ERR_SECRETS_FOREIGN_TABLE`,
 * `ERR_SECRETS_SCHEMA_NEWER`, `ERR_SECRETS_INVALID_ARGUMENT`
 */
export async function rollBack(
  trx: Knex,
  dialect: Dialect,
  tables: Tables,
  { to, allowDataLoss }: RollbackOptions,
): Promise<MigrationStatus> {
  const { applied, unrecorded } = await readStatus(trx, dialect, tables);
  const there = applied.length + unrecorded.length;
  const left = to === undefined ? Math.max(there - 1, 0) : countUpTo(to);
  if (left > there) throw invalidArgument('to', 'a migration that has run', 'one that has not');
  for (const migration of MIGRATIONS.slice(left, there).toReversed()) {
    await lockTables(trx, dialect, tables, migration);
    if (allowDataLoss !== true) await refuseLoss(trx, dialect, tables, migration);
    await migration.down(trx, dialect, tables);
    if (unrecorded.length === 0) await trx(tables.migrations).where({ name: migration.name }).delete();
  }
  if (left === 0) await trx.raw('drop table if exists ??', [tables.migrations]);
  return await readStatus(trx, dialect, tables);
}

/** How many migrations there are up to the named one. */
export function countUpTo(name: string): number {
  if (name === 'empty') return 0;
  const index = MIGRATIONS.findIndex((migration) => migration.name === name);
  if (index >= 0) return index + 1;
  throw invalidArgument('to', `empty, ${MIGRATIONS.map((migration) => migration.name).join(' or ')}`, 'another value');
}

/** Nobody writes between the look for data and the drop. SQLite has one writer. */
async function lockTables(trx: Knex, dialect: Dialect, tables: Tables, { losses }: Migration): Promise<void> {
  if (dialect.name !== 'postgres') return;
  const names = losses.map(({ table }) => quoted(tables[table]));
  await trx.raw(`lock table ${names.join(', ')} in access exclusive mode`);
}

async function refuseLoss(trx: Knex, dialect: Dialect, tables: Tables, { losses }: Migration): Promise<void> {
  for (const { table, where } of losses) {
    await dialect.refuseBlindness(trx, tables[table]);
    const rows = trx(tables[table]).limit(1).select(trx.raw('1 as one'));
    const condition = typeof where === 'function' ? where(tables) : where;
    const [row] = (await (condition === undefined ? rows : rows.whereRaw(condition))) as readonly unknown[];
    if (row === undefined) continue;
    throw new SecretsError('ERR_SECRETS_DATA_LOSS', { context: { table: tables.plain(TABLE_NAMES[table]) } });
  }
}
