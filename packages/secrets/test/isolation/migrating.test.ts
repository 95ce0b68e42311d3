import { disableRowSecuritySql, migrateSecretStore, rowSecuritySql } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { postgres } from '../../src/dialects/postgres.ts';
import { withOwnersRights } from '../../src/isolation/migrating.ts';
import { createTables } from '../../src/tables.ts';
import { rejection } from '../support.ts';
import { type IsolatedFixture, openIsolated } from './support.ts';

describeEachEngine('migrations under row-level security', (engine) => {
  if (engine.dialect === 'sqlite') {
    it('have nothing to lift on SQLite', () => {
      expect(() => rowSecuritySql({} as never)).toThrow(
        expect.objectContaining({ code: 'ERR_SECRETS_INVALID_ARGUMENT' }),
      );
    });
    return;
  }
  let fixture: IsolatedFixture;

  beforeAll(async () => {
    fixture = await openIsolated(engine);
    for (const tenantId of ['a', 'b']) await fixture.tenant(tenantId).save('key', 'x');
  });
  afterAll(async () => {
    await fixture?.close();
  });

  const forced = async (): Promise<readonly string[]> =>
    fixture.admin('pg_class').where({ relforcerowsecurity: true }).orderBy('relname').pluck('relname');

  it('change the rows of every tenant, by an owner who sees none of them, and force the policies again', async () => {
    const owner = fixture.connect(fixture.url('owner'));
    const before = await forced();
    expect(before).toHaveLength(5);
    expect(await owner('secrets').update({ description: 'blind' })).toBe(0);
    await owner.transaction(async (trx) => {
      await withOwnersRights(trx, postgres, createTables(undefined), async () => {
        expect(await trx('secrets').update({ description: 'migrated' })).toBe(2);
      });
      expect(await trx('secrets').update({ description: 'blind' })).toBe(0);
    });
    expect(await fixture.admin('secrets').distinct('description')).toEqual([{ description: 'migrated' }]);
    expect(await forced()).toEqual(before);
    await fixture.open().ready();
  });

  it('leave the policies forced where they fail', async () => {
    const owner = fixture.connect(fixture.url('owner'));
    const before = await forced();
    const failed = owner.transaction((trx) =>
      withOwnersRights(trx, postgres, createTables(undefined), async () => {
        throw new Error('mine');
      }),
    );
    expect(await rejection(failed)).toMatchObject({ message: 'mine' });
    expect(await forced()).toEqual(before);
  });

  it('have nothing to do by any role, and a start says so', async () => {
    for (const role of ['owner', 'app', 'maintenance'] as const) {
      const knex = fixture.connect(fixture.url(role));
      expect((await migrateSecretStore({ knex })).pending).toEqual([]);
    }
  });

  it('are not undone by an owner who cannot see what would be lost', async () => {
    const { rollbackSecretMigration } = await import('@keywright/secrets');
    const knex = fixture.connect(fixture.url('owner'));
    expect(await rejection(rollbackSecretMigration({ knex, to: 'empty' }))).toMatchObject({
      code: expect.stringMatching(/^ERR_SECRETS_(?:RLS_BLIND|DATA_LOSS)$/),
    });
    fixture.psql(disableRowSecuritySql(), 'owner');
    expect(await rejection(rollbackSecretMigration({ knex, to: 'empty' }))).toMatchObject({
      code: 'ERR_SECRETS_DATA_LOSS',
    });
    const { app: appRole, maintenance: maintenanceRole } = fixture.roles;
    fixture.psql(rowSecuritySql({ appRole, maintenanceRole }), 'owner');
    await fixture.open().ready();
  });

  it('that made a table without a policy are named by the self-test', async () => {
    fixture.psql(
      `drop table secret_changes;
       create table secret_changes (tenant_id varchar(255) not null, id uuid not null, primary key (tenant_id, id));`,
      'owner',
    );
    expect(await rejection(fixture.open().ready())).toMatchObject({
      code: 'ERR_SECRETS_RLS_INEFFECTIVE',
      context: { table: 'secret_changes' },
    });
  });
});
