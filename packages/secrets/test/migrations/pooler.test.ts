import { migrateSecretStore, rollbackSecretMigration, secretMigrationStatus } from '@keywright/secrets';
import { pgBouncerProgram, requireOrSkip, startPgBouncer } from '@keywright/testkit';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex from 'knex';
import { expect, it } from 'vitest';
import { NAMES, openPlace } from './support.ts';

const there = requireOrSkip('pgbouncer', pgBouncerProgram(), 'On Debian, install pgbouncer.') !== undefined;

describeEachEngine(
  'migrations through PgBouncer in transaction mode',
  (engine) => {
    it.skipIf(!there)(`of several replicas take turns${there ? '' : ' (pgbouncer is not installed)'}`, async () => {
      const { database } = await openPlace(engine);
      const bouncer = await startPgBouncer({ upstream: database.url, poolSize: 3 });
      const replicas = Array.from({ length: 6 }, () => createKnex({ client: 'pg', connection: bouncer.url }));
      try {
        const looks = replicas.map((knex) => secretMigrationStatus({ knex }));
        for (const status of await Promise.all(replicas.map((knex) => migrateSecretStore({ knex })))) {
          expect(status).toMatchObject({ applied: NAMES });
        }
        // whoever looks meanwhile sees all or nothing
        for (const { applied } of await Promise.all(looks)) expect([0, NAMES.length]).toContain(applied.length);
        await Promise.all(replicas.map((knex) => rollbackSecretMigration({ knex, to: '001-initial' })));
        expect(await replicas[0]?.('secret_migrations').pluck('name')).toEqual([NAMES[0]]);
      } finally {
        await Promise.all(replicas.map((knex) => knex.destroy()));
        await bouncer.stop();
      }
    });
  },
  { engines: 'postgres' },
);
