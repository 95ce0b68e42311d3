import { migrateSecretStore, secretMigrationSource, secretMigrationStatus } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { expect, it } from 'vitest';
import { rejection } from '../support.ts';
import { describeSchema, expectFrozenData, NAMES, openFrozen, openPlace } from './support.ts';

const tableName = 'knex_migrations_keywright';
const ours = (): Knex.MigratorConfig => ({ migrationSource: secretMigrationSource(), tableName });

describeEachEngine('the migration source for knex', (engine) => {
  it('makes the schema that migrate() makes, and undoes it', async () => {
    const [byKnex, byStore] = [await openPlace(engine), await openPlace(engine)];
    await migrateSecretStore({ knex: byStore.knex });
    const [, names] = (await byKnex.knex.migrate.latest(ours())) as [number, string[]];
    expect(names).toEqual(NAMES.map((name) => `keywright:secrets:${name}`));
    const schemaOf = async ({ knex }: { knex: Knex }) =>
      (await describeSchema(knex, engine.dialect)).filter((line) => !line.includes('knex_migrations'));
    expect(await schemaOf(byKnex)).toEqual(await schemaOf(byStore));
    expect(await secretMigrationStatus({ knex: byKnex.knex })).toMatchObject({ applied: NAMES });
    await byKnex.knex.migrate.down(ours());
    expect(await secretMigrationStatus({ knex: byKnex.knex })).toMatchObject({ applied: [NAMES[0]] });
    await byKnex.knex.migrate.up(ours());
    await byKnex.knex.migrate.rollback(ours(), true);
    expect(await schemaOf(byKnex)).toEqual([]);
  });

  it('agrees with migrate(), whichever was first', async () => {
    const { knex, store } = await openFrozen(engine);
    await knex.migrate.latest(ours()); // finds 001 done, and does 002
    expect(await migrateSecretStore({ knex })).toMatchObject({ applied: NAMES });
    await expectFrozenData(store());
    const other = await openPlace(engine);
    await migrateSecretStore({ knex: other.knex });
    await other.knex.migrate.latest(ours());
    expect(await other.knex(tableName).pluck('name')).toHaveLength(2);
    await other.store().rollbackMigration();
    await other.knex.migrate.down(ours()); // 002 is down already
    expect(await secretMigrationStatus({ knex: other.knex })).toMatchObject({ applied: [NAMES[0]] });
  });

  it('refuses to undo what holds data unless it was told otherwise', async () => {
    const { knex } = await openFrozen(engine);
    await knex.migrate.latest(ours());
    expect(await rejection(knex.migrate.rollback(ours(), true))).toMatchObject({ code: 'ERR_SECRETS_DATA_LOSS' });
    expect(await knex('secrets').select('id')).not.toEqual([]);
    const migrationSource = secretMigrationSource({ allowDataLoss: true });
    await knex.migrate.rollback({ migrationSource, tableName }, true);
    expect(await knex.schema.hasTable('secrets')).toBe(false);
  });

  it("runs beside the host's migrations and other stores in one database", async () => {
    const { knex } = await openPlace(engine);
    const theirs: Knex.MigrationSource<string> = {
      getMigrations: async () => ['001_orders'],
      getMigrationName: (name) => name,
      getMigration: async () => ({
        up: async (db) => await db.schema.createTable('orders', (table) => table.text('id')),
        down: async (db) => await db.schema.dropTable('orders'),
      }),
    };
    await knex.migrate.latest({ migrationSource: theirs });
    await knex.migrate.latest(ours());
    const prefixed = secretMigrationSource({ tables: { prefix: 'kw_' } });
    await knex.migrate.latest({ migrationSource: prefixed, tableName: 'knex_migrations_kw' });
    await knex.migrate.rollback({ migrationSource: theirs });
    expect(await knex.schema.hasTable('orders')).toBe(false);
    expect(await secretMigrationStatus({ knex })).toMatchObject({ applied: NAMES });
    expect(await secretMigrationStatus({ knex, tables: { prefix: 'kw_' } })).toMatchObject({ applied: NAMES });
  });

  it('without transactions of knex uses its own', async () => {
    const { knex } = await openPlace(engine);
    await knex.migrate.latest({ ...ours(), disableTransactions: true });
    await knex.migrate.rollback({ ...ours(), disableTransactions: true }, true);
    expect(await secretMigrationStatus({ knex })).toMatchObject({ applied: [] });
  });

  it('takes no options that are none', () => {
    expect(() => secretMigrationSource(null as never)).toThrow(
      expect.objectContaining({ code: 'ERR_SECRETS_INVALID_ARGUMENT' }),
    );
    expect(() => secretMigrationSource({ tables: { prefix: '"' } })).toThrow(
      expect.objectContaining({ code: 'ERR_SECRETS_INVALID_ARGUMENT' }),
    );
  });
});
