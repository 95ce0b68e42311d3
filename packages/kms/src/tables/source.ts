import type { Knex } from 'knex';
import { readOptions } from '../arguments.ts';
import { typed } from '../internal/database-error.ts';
import { databaseOf } from './database.ts';
import { inTurn, migrateUpTo, readRecord } from './migrate.ts';
import { MIGRATIONS, undo } from './migrations.ts';
import { createKmsTables, type KmsTableOptions } from './names.ts';

/**
 * The migrations of this package for `knex.migrate`, for hosts that run all of theirs there. What has run is decided by
 * the package's own record, as for `migrate()`, so both ways can be mixed. Give it a `tableName` of its own, because knex
 * refuses a table that names migrations which a source does not have. Going down drops the tables with all that they
 * hold: the keys that they name stay in their backends, and those of the `db` provider are gone.
 *
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { kmsMigrationSource } from '@keywright/kms';
 * import knex from 'knex';
 *
 * const db = knex({ client: 'better-sqlite3', connection: { filename: ':memory:' }, useNullAsDefault: true });
 * await db.migrate.latest({ migrationSource: kmsMigrationSource(), tableName: 'knex_migrations_keywright_kms' });
 * ```
 */
export function kmsMigrationSource(options?: { readonly tables?: KmsTableOptions }): Knex.MigrationSource<string> {
  const tables = createKmsTables(readOptions(options, 'options', (given) => given.tables));
  const names = MIGRATIONS.map(({ name }) => name);
  return {
    getMigrations: async () => names,
    // of this place: knex may keep one table for several
    getMigrationName: (name) => `keywright:${tables.keys}:${name}`,
    getMigration: async (name) => ({
      async up(knex: Knex): Promise<void> {
        await migrateUpTo(knex, tables, names.indexOf(name) + 1);
      },
      async down(knex: Knex): Promise<void> {
        const database = databaseOf(knex);
        await typed('rollback', () =>
          inTurn(knex, database, tables, async (trx) => {
            const migration = MIGRATIONS.find((known) => known.name === name);
            if (migration === undefined || !(await readRecord(trx, database, tables)).includes(name)) return;
            await undo(trx, tables, migration);
            await trx(tables.migrations).where({ name }).delete();
          }),
        );
      },
    }),
  };
}
