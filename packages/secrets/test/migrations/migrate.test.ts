import { migrateSecretStore, rollbackSecretMigration, secretMigrationStatus } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex from 'knex';
import { expect, it } from 'vitest';
import { rejection, untilWaiting } from '../support.ts';
import { startReplicas } from '../workers/replicas.ts';
import { describeSchema, expectFrozenData, NAMES, openFrozen, openPlace } from './support.ts';

const TABLES = [
  'secret_root_keys',
  'secret_tenant_keys',
  'secrets',
  'secret_versions',
  'secret_audit_log',
  'secret_audit_tree',
  'secret_audit_leaves',
  'secret_audit_checkpoints',
  'secret_audit_sinks',
  'secret_changes',
  'secret_leases',
];

/** What going back to 001-initial would lose: the table that is named, and how it gets there. */
const LOSSES = [
  ['secrets', "update secrets set tags = '[1]'"],
  ['secrets', "update secrets set created_by = 'whose first version was pruned'"],
  ['secret_audit_log', "update secret_audit_log set leaf_index = 0 where actor = 'ops' and action = 'root.rotate'"],
  [
    'secret_audit_checkpoints',
    "insert into secret_audit_checkpoints values (1, '', '', (select max(created_at) from secrets))",
  ],
  ['secret_leases', "insert into secret_leases values ('x', null, 1, (select max(created_at) from secrets), 'half')"],
] as const;

describeEachEngine(
  'migrations',
  (engine) => {
    it('bring an empty database to the present schema, step by step, and back to nothing', async () => {
      const { knex } = await openPlace(engine);
      expect(await secretMigrationStatus({ knex })).toEqual({ applied: [], pending: NAMES, unrecorded: [] });
      const empty = await describeSchema(knex, engine.dialect);
      const done = { applied: NAMES, pending: [], unrecorded: [] };
      expect(await migrateSecretStore({ knex })).toEqual(done);
      expect(await secretMigrationStatus({ knex })).toEqual(done);
      const full = await describeSchema(knex, engine.dialect);

      const first = { applied: [NAMES[0]], pending: [NAMES[1]], unrecorded: [] };
      expect(await rollbackSecretMigration({ knex })).toEqual(first);
      expect(await secretMigrationStatus({ knex })).toEqual(first);
      await migrateSecretStore({ knex });
      expect(await describeSchema(knex, engine.dialect)).toEqual(full);

      expect(await rollbackSecretMigration({ knex, to: 'empty' })).toMatchObject({ applied: [] });
      expect(await describeSchema(knex, engine.dialect)).toEqual(empty);
      expect(await rollbackSecretMigration({ knex })).toMatchObject({ applied: [], pending: NAMES });
    });

    it('open a database of 001-initial with all that is in it, and what is saved on top', async () => {
      const { knex, store } = await openFrozen(engine);
      const opened = store();
      expect(await rejection(opened.ready())).toMatchObject({ code: 'ERR_SECRETS_NOT_MIGRATED' });
      expect(await opened.migrationStatus()).toEqual({ applied: [NAMES[0]], pending: [NAMES[1]], unrecorded: [] });
      expect(await opened.migrate()).toMatchObject({ applied: NAMES });
      await expectFrozenData(opened);
      expect(await knex('secrets').where({ name: 'late' }).pluck('created_by')).toEqual(['user:3']);
      await opened.tenant('acme', { actor: 'x' }).save('stripe', 'sk_test_3');
      expect(await opened.tenant('acme', { actor: 'x' }).get('stripe')).toMatchObject({
        version: 3,
        value: 'sk_test_3',
      });
    });

    it('go down to 001-initial and up again without losing a secret or an audit row', async () => {
      const { store } = await openFrozen(engine);
      const opened = store();
      await opened.migrate();
      await opened.ready();
      expect(await opened.rollbackMigration()).toMatchObject({ applied: [NAMES[0]] });
      expect(await rejection(opened.tenant('acme', { actor: 'x' }).get('stripe'))).toMatchObject({
        code: 'ERR_SECRETS_NOT_MIGRATED',
      });
      await opened.migrate();
      await expectFrozenData(opened);
      await expectFrozenData(store());
    });

    it('refuse to go down while data would be lost', async () => {
      const { knex, store } = await openFrozen(engine);
      await store().migrate();
      const before = await describeSchema(knex, engine.dialect);
      for (const [table, statement] of LOSSES) {
        const trx = await knex.transaction();
        await trx.raw(statement);
        const error = await rejection(rollbackSecretMigration({ knex, trx }));
        expect(error).toMatchObject({ code: 'ERR_SECRETS_DATA_LOSS', retryable: false, context: { table } });
        expect(await trx('secrets').select('id')).not.toEqual([]);
        await trx.rollback();
      }
      expect(await describeSchema(knex, engine.dialect)).toEqual(before);
      const attempt = rollbackSecretMigration({ knex, to: 'empty' });
      expect(await rejection(attempt)).toMatchObject({ code: 'ERR_SECRETS_DATA_LOSS', context: { table: 'secrets' } });
      expect(await secretMigrationStatus({ knex })).toMatchObject({ applied: NAMES });
      await expectFrozenData(store());
    });

    it('go down with a loss when that is allowed, to what can go up again', async () => {
      const { knex, store } = await openFrozen(engine);
      await store().migrate();
      for (const [, statement] of LOSSES) await knex.raw(statement);
      await rollbackSecretMigration({ knex, allowDataLoss: true });
      await migrateSecretStore({ knex });
      await expectFrozenData(store());
      // a place in a tree that is gone would be sealed twice
      expect(await knex('secret_audit_log').whereNotNull('leaf_index')).toEqual([]);
      await rollbackSecretMigration({ knex, to: 'empty', allowDataLoss: true });
      expect(await describeSchema(knex, engine.dialect)).toEqual([]);
    });

    it('let a store that emptied its database start over in it, with new keys', async () => {
      const { store } = await openFrozen(engine);
      const opened = store();
      await opened.migrate();
      await opened.ready();
      await opened.rollbackMigration({ to: 'empty', allowDataLoss: true });
      expect(await rejection(opened.ready())).toMatchObject({ code: 'ERR_SECRETS_NOT_MIGRATED' });
      await opened.migrate();
      await opened.tenant('acme', { actor: 'x' }).save('stripe', 'anew');
      const other = store().tenant('acme', { actor: 'x' });
      expect((await other.get('stripe')).value).toBe('anew');
      expect((await other.auditLog()).items.map(({ authentic }) => authentic)).toEqual([true, true, true]);
    });

    it('refuse arguments that are none', async () => {
      const { knex } = await openFrozen(engine);
      for (const options of [{ to: '003-none' }, { to: '002-complete' }, { allowDataLoss: 'yes' as never }]) {
        expect(await rejection(rollbackSecretMigration({ knex, ...options }))).toMatchObject({
          code: 'ERR_SECRETS_INVALID_ARGUMENT',
        });
      }
    });

    it('run in a transaction of the host, and are undone with it', async () => {
      const { knex } = await openPlace(engine);
      const trx = await knex.transaction();
      expect(await migrateSecretStore({ knex, trx })).toMatchObject({ applied: NAMES });
      await rollbackSecretMigration({ knex, trx });
      await trx.rollback();
      expect(await describeSchema(knex, engine.dialect)).toEqual([]);
    });

    it('of replicas that start at once run once, whichever way, and roll back once', async () => {
      const { knex, database } = await openPlace(engine);
      const replicas = await startReplicas(3, {
        url: database.url,
        keys: { v1: 'A'.repeat(43).concat('=') },
        activeKid: 'v1',
      });
      try {
        const up = await replicas.run([{ task: 'migrate' }, { task: 'migrate by knex' }, { task: 'migrate' }]);
        expect(up).toEqual([[0], [0], [0]]);
        expect(await knex('secret_migrations').orderBy('name').pluck('name')).toEqual(NAMES);
        expect(await knex('knex_migrations_keywright').pluck('name')).toHaveLength(NAMES.length);
        expect(await replicas.run(Array.from({ length: 3 }, () => ({ task: 'roll back' })))).toEqual([[1], [1], [1]]);
        expect(await secretMigrationStatus({ knex })).toMatchObject({ applied: [NAMES[0]] });
      } finally {
        await replicas.stop();
      }
    });

    if (engine.dialect === 'postgres') {
      it('run again where the traffic of a service makes a deadlock with them', async () => {
        const { knex, database, run } = await openFrozen(engine);
        await run(`alter database "${new URL(database.url).pathname.slice(1)}" set deadlock_timeout = '400ms'`);
        const migrator = createKnex(database.knexConfig);
        const trx = await knex.transaction();
        await trx.raw("set local deadlock_timeout = '10s'"); // it is not the one to give way
        await trx.raw('lock table secret_audit_log in row exclusive mode');
        const migrating = migrateSecretStore({ knex: migrator }); // has changed the secrets, waits for the log
        await untilWaiting(knex);
        await trx('secrets').select('id');
        await trx.commit();
        expect(await migrating).toMatchObject({ applied: NAMES });
        await migrator.destroy();
      });
    }

    it('refuse a schema that is newer, in each direction', async () => {
      const { knex } = await openPlace(engine);
      await migrateSecretStore({ knex });
      await knex('secret_migrations').insert({ name: '999-later', applied_at: new Date() });
      for (const attempt of [migrateSecretStore, rollbackSecretMigration, secretMigrationStatus]) {
        expect(await rejection(attempt({ knex }))).toMatchObject({ code: 'ERR_SECRETS_SCHEMA_NEWER' });
      }
    });

    it('refuse a table that somebody else made under any of our names, and leave it alone', async () => {
      const { knex } = await openPlace(engine);
      for (const table of TABLES) {
        await knex.schema.createTable(table, (columns) => columns.text('theirs'));
        const before = await describeSchema(knex, engine.dialect);
        for (const attempt of [migrateSecretStore, rollbackSecretMigration, secretMigrationStatus]) {
          const error = await rejection(attempt({ knex }));
          expect(error).toMatchObject({ code: 'ERR_SECRETS_FOREIGN_TABLE', context: { table } });
          expect(error.message).toMatch(/prefix.*schema/);
        }
        expect(await describeSchema(knex, engine.dialect)).toEqual(before);
        await knex.schema.dropTable(table);
      }
    });

    it('refuse a table that only the next migration would make', async () => {
      const { knex } = await openFrozen(engine);
      await knex.schema.createTable('secret_leases', (columns) => columns.text('theirs'));
      expect(await rejection(migrateSecretStore({ knex }))).toMatchObject({
        code: 'ERR_SECRETS_FOREIGN_TABLE',
        context: { table: 'secret_leases' },
      });
      expect(await secretMigrationStatus({ knex, tables: { prefix: 'kw_' } })).toMatchObject({ applied: [] });
    });
  },
  { engines: 'all' },
);
