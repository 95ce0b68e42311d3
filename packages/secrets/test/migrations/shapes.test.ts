import { migrateSecretStore, rollbackSecretMigration } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import { expect, it } from 'vitest';
import { dialectOf } from '../../src/dialects/index.ts';
import { type Schema, schemas } from '../../src/migrations/shapes.ts';
import { createTables, TABLE_NAMES, type TableName } from '../../src/tables.ts';
import { NAMES, openPlace } from './support.ts';

/** Indexes that come with a key. */
const OF_A_KEY = /_pkey unique$|^sqlite_autoindex_/;

describeEachEngine(
  'what the store takes for its own',
  (engine) => {
    it('is exactly what each migration makes: edit shapes.ts together with a migration', async () => {
      const { knex } = await openPlace(engine);
      const dialect = dialectOf(knex);
      await migrateSecretStore({ knex });
      const expected = schemas(dialect);
      expect(expected).toHaveLength(NAMES.length);
      expect(Object.keys(expected.at(-1) as Schema).toSorted()).toEqual(
        Object.keys(TABLE_NAMES)
          .filter((table) => table !== 'migrations')
          .toSorted(),
      );
      for (const schema of expected.toReversed()) {
        for (const [table, shape] of Object.entries(schema)) {
          const name = TABLE_NAMES[table as TableName];
          const found = await dialect.shapeOf(knex, name, undefined);
          expect([name, ...found.columns.toSorted()]).toEqual([name, ...shape.columns]);
          const named = found.indexes.filter((index) => !OF_A_KEY.test(index));
          expect([name, ...named.toSorted()]).toEqual([name, ...shape.indexes.toSorted()]);
        }
        await rollbackSecretMigration({ knex });
      }
      expect(await dialect.hasTable(knex, 'secrets', undefined)).toBe(false);
    });

    it('is found under a prefix as well', async () => {
      const { knex } = await openPlace(engine);
      const tables = { prefix: 'kw_' };
      await migrateSecretStore({ knex, tables });
      await knex.schema.dropTable('kw_secret_migrations');
      expect(await migrateSecretStore({ knex, tables })).toMatchObject({ applied: NAMES });
      expect(createTables(tables).secrets).toBe('kw_secrets');
    });
  },
  { engines: 'all' },
);
