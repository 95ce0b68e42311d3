import { migrateSecretStore, secretMigrationStatus } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import { expect, it } from 'vitest';
import { rejection } from '../support.ts';
import { expectFrozenData, NAMES, openFrozen, openPlace } from './support.ts';

describeEachEngine(
  'tables that were not recorded',
  (engine) => {
    it.each([0, 1])('are taken over when they are exactly ours: %i migrations later', async (later) => {
      const { knex, store } = await openFrozen(engine);
      if (later === 1) await migrateSecretStore({ knex });
      await knex.schema.dropTable('secret_migrations');
      expect(await secretMigrationStatus({ knex })).toEqual({
        applied: [],
        pending: NAMES,
        unrecorded: NAMES.slice(0, later + 1),
      });
      expect(await migrateSecretStore({ knex })).toEqual({ applied: NAMES, pending: [], unrecorded: [] });
      await expectFrozenData(store());
    });

    it('are taken over when the table of migrations is there and empty', async () => {
      const { knex, store } = await openFrozen(engine);
      await knex('secret_migrations').delete();
      await migrateSecretStore({ knex });
      await expectFrozenData(store());
    });

    it('are refused when they are not exactly ours', async () => {
      const { knex } = await openFrozen(engine);
      await knex.schema.dropTable('secret_migrations');
      for (const [what, table, statements] of STRANGE) {
        const trx = await knex.transaction();
        for (const statement of statements(engine.dialect === 'sqlite' ? 'blob' : 'bytea')) await trx.raw(statement);
        const error = await rejection(migrateSecretStore({ knex, trx }));
        expect(error, what).toMatchObject({ code: 'ERR_SECRETS_FOREIGN_TABLE', context: { table } });
        expect(await trx.schema.hasTable('secret_migrations')).toBe(false);
        await trx.rollback();
      }
      expect(await migrateSecretStore({ knex })).toMatchObject({ applied: NAMES });
    });

    it('of another secret SDK under the same names are refused, and ours live beside them under a prefix or in a schema', async () => {
      const { knex, run, store } = await openPlace(engine);
      await run(OTHER_SDK);
      await knex('secrets').insert({
        id: 'a',
        tenant_id: 'acme',
        name: 'stripe',
        encrypted_value: 'x',
        encrypted_dek: 'y',
      });
      const error = await rejection(store().migrate());
      expect(error).toMatchObject({ code: 'ERR_SECRETS_FOREIGN_TABLE', context: { table: 'secrets' } });
      expect(error.message).toContain('{ prefix }');
      expect(error.message).toContain('{ schema }');
      if (engine.dialect === 'postgres') await run('create schema keywright');
      const places = [{ prefix: 'kw_' }, ...(engine.dialect === 'postgres' ? [{ schema: 'keywright' }] : [])];
      for (const tables of places) {
        const beside = store(tables);
        await beside.migrate();
        const acme = beside.tenant('acme', { actor: 'x' });
        await acme.save('stripe', 'ours');
        expect((await acme.get('stripe')).value).toBe('ours');
        expect(await beside.migrationStatus()).toMatchObject({ applied: NAMES });
      }
      expect(await knex('secrets').select('encrypted_value')).toEqual([{ encrypted_value: 'x' }]);
      expect(await knex('secret_audit_log').select('*')).toEqual([]);
      for (const tables of places) await store(tables).rollbackMigration({ to: 'empty', allowDataLoss: true });
      expect(await knex('secrets').select('encrypted_value')).toEqual([{ encrypted_value: 'x' }]);
    });

    if (engine.dialect === 'sqlite') {
      it('are found whatever the case of their names', async () => {
        const { knex, run } = await openPlace(engine);
        await run('create view "Secret_Versions" as select 1 as one');
        expect(await rejection(migrateSecretStore({ knex }))).toMatchObject({
          code: 'ERR_SECRETS_FOREIGN_TABLE',
          context: { table: 'secret_versions' },
        });
      });
    }
  },
  { engines: 'all' },
);

const STRANGE: readonly [string, string, (bytes: string) => readonly string[]][] = [
  ['a column is missing', 'secrets', () => ['alter table secrets drop column max_versions']],
  ['there is one more', 'secrets', () => ['alter table secrets add column theirs text']],
  [
    'one has another type',
    'secret_root_keys',
    () => [
      'alter table secret_root_keys drop column rotating_at',
      'alter table secret_root_keys add column rotating_at text',
    ],
  ],
  [
    'one may be null',
    'secret_audit_log',
    (bytes) => ['alter table secret_audit_log drop column mac', `alter table secret_audit_log add column mac ${bytes}`],
  ],
  ['an index is missing', 'secrets', () => ['drop index secrets_name']],
  [
    'an index lets two be active',
    'secret_tenant_keys',
    () => [
      'drop index secret_tenant_keys_active',
      "create index secret_tenant_keys_active on secret_tenant_keys (tenant_id) where status = 'active'",
    ],
  ],
  ['a table is missing', 'secret_root_keys', () => ['drop table secret_audit_log']],
  [
    'a primary key is missing',
    'secret_audit_log',
    () => [
      'create table copy as select * from secret_audit_log',
      'drop table secret_audit_log',
      'alter table copy rename to secret_audit_log',
    ],
  ],
];

// Written after what its documentation says of it: values and data keys as text, a row for each secret.
const OTHER_SDK = `
  create table secrets (
    id varchar(64) primary key, tenant_id varchar(255) not null, name varchar(255) not null,
    encrypted_value text not null, encrypted_dek text not null, metadata text,
    auth_type varchar(64), is_deleted boolean default false, created_at timestamp, updated_at timestamp
  );
  create unique index secrets_tenant_name on secrets (tenant_id, name);
  create table secret_audit_log (
    id varchar(64) primary key, tenant_id varchar(255) not null, secret_id varchar(64), action varchar(64) not null,
    user_id varchar(255), metadata text, created_at timestamp
  );`;
