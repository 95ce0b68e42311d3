import { migrateSecretStore, rollbackSecretMigration, secretMigrationStatus } from '@keywright/secrets';
import { describeEachEngine, type TestEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { expect, it, onTestFinished } from 'vitest';
import { rejection } from '../support.ts';
import { NAMES, openPlace, type Place } from './support.ts';

/** Connects as a new role that may do nothing but what `grants` says of it. */
async function connectAs(engine: TestEngine, { database, run }: Place, name: string, grants: string): Promise<Knex> {
  const role = `${name}_${engine.name}_${process.pid}`;
  await run(`create role ${role} login password 'x'; ${grants.replaceAll('ROLE', role)}`);
  const url = new URL(database.url);
  url.username = role;
  url.password = 'x';
  const own = createKnex({ client: 'pg', connection: url.href });
  onTestFinished(async () => {
    await own.destroy();
    await run(`drop owned by ${role} cascade; drop role ${role}`);
  });
  return own;
}

describeEachEngine(
  'a role that migrates',
  (engine) => {
    it('needs CREATE on the schema and no more, for every migration and back', async () => {
      const place = await openPlace(engine);
      await place.run('create schema vault');
      const knex = await connectAs(engine, place, 'owner', 'grant usage, create on schema vault to ROLE');
      const tables = { schema: 'vault' };
      expect(await migrateSecretStore({ knex, tables })).toMatchObject({ applied: NAMES });
      await rollbackSecretMigration({ knex, tables });
      await migrateSecretStore({ knex, tables });
      await rollbackSecretMigration({ knex, tables, to: 'empty' });
    });

    it('is told when it may not create tables, in a schema that it sees and in one that it does not', async () => {
      const place = await openPlace(engine);
      await place.run('create schema hidden');
      const knex = await connectAs(engine, place, 'nobody', '');
      for (const tables of [undefined, { schema: 'hidden' }]) {
        const error = await rejection(migrateSecretStore({ knex, tables }));
        expect(error).toMatchObject({ code: 'ERR_SECRETS_DATABASE_PERMISSION', context: { operation: 'migrate' } });
        expect(error.message).toContain('CREATE on the schema');
      }
    });

    it('needs nothing but to read where there is nothing to do, and may not go back', async () => {
      const place = await openPlace(engine);
      await migrateSecretStore({ knex: place.knex });
      const knex = await connectAs(engine, place, 'app', 'grant select on secret_migrations to ROLE');
      expect(await migrateSecretStore({ knex })).toMatchObject({ applied: NAMES });
      expect(await secretMigrationStatus({ knex })).toMatchObject({ applied: NAMES });
      expect(await rejection(rollbackSecretMigration({ knex, allowDataLoss: true }))).toMatchObject({
        code: 'ERR_SECRETS_DATABASE_PERMISSION',
      });
    });

    it('that row-level security hides rows from does not drop what it cannot see', async () => {
      const place = await openPlace(engine);
      await place.run('create schema vault');
      const knex = await connectAs(engine, place, 'blind', 'grant usage, create on schema vault to ROLE');
      const tables = { schema: 'vault' };
      await migrateSecretStore({ knex, tables });
      await place.knex('vault.secret_changes').insert({
        tenant_id: 'acme',
        id: '00000000-0000-7000-8000-000000000000',
        at: new Date(),
        kind: 'save',
        secret_id: '00000000-0000-7000-8000-000000000000',
        secret_name: 'x',
        version: 1,
      });
      await place.run(
        'alter table vault.secret_changes enable row level security; alter table vault.secret_changes force row level security',
      );
      expect(await knex('vault.secret_changes').select('id')).toEqual([]);
      expect(await rejection(rollbackSecretMigration({ knex, tables }))).toMatchObject({
        code: 'ERR_SECRETS_RLS_BLIND',
      });
      expect(await rejection(rollbackSecretMigration({ knex: place.knex, tables }))).toMatchObject({
        code: 'ERR_SECRETS_DATA_LOSS',
      });
      expect(await place.knex('vault.secret_changes').select('kind')).toEqual([{ kind: 'save' }]);
    });
  },
  { engines: 'postgres' },
);
