import type { Knex } from 'knex';
import { readOptions } from '../arguments.ts';
import { Connections } from '../connections.ts';
import { createTables, type TableOptions } from '../tables.ts';
import { MIGRATIONS } from './index.ts';
import { migrate, readRollback, rollback, status } from './migrate.ts';

/** Options of {@link secretMigrationSource}. */
export interface SecretMigrationSourceOptions {
  readonly tables?: TableOptions | undefined;
  /** Whether `down` may lose what is stored. @default false */
  readonly allowDataLoss?: boolean | undefined;
}

/**
 * The store's migrations for `knex.migrate`, up and down. What has run is decided by the store's own record, as for
 * `store.migrate()`: a migration that knex runs and that has run already does nothing, so both ways can be mixed. Give
 * it a `tableName` of its own, because knex refuses a table that names migrations which a source does not have.
 *
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { secretMigrationSource } from '@keywright/secrets';
 * import knex from 'knex';
 *
 * const db = knex({ client: 'better-sqlite3', connection: { filename: ':memory:' }, useNullAsDefault: true });
 * await db.migrate.latest({ migrationSource: secretMigrationSource(), tableName: 'knex_migrations_keywright' });
 * ```
 */
export function secretMigrationSource(options?: SecretMigrationSourceOptions): Knex.MigrationSource<string> {
  const { allowDataLoss } = readRollback(options);
  const tables = createTables(readOptions(options, 'options', (given) => given.tables));
  const names = MIGRATIONS.map(({ name }) => name);
  return {
    getMigrations: async () => names,
    // of this place: knex may keep one table for several stores in one database
    getMigrationName: (name) => `keywright:${tables.secrets}:${name}`,
    getMigration: async (name) => {
      const index = names.indexOf(name);
      return {
        async up(knex: Knex): Promise<void> {
          await migrate(new Connections(knex, undefined), tables, undefined, index + 1);
        },
        async down(knex: Knex): Promise<void> {
          const connections = new Connections(knex, undefined);
          const { applied } = await status(connections, tables, undefined);
          if (!applied.includes(name)) return;
          await rollback(connections, tables, undefined, { to: names[index - 1] ?? 'empty', allowDataLoss });
        },
      };
    },
  };
}
