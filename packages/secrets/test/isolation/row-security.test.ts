import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rejection } from '../support.ts';
import { type IsolatedFixture, openIsolated, TENANT_TABLE_NAMES } from './support.ts';

const DENIED = '42501';

describeEachEngine(
  'under row-level security',
  (engine) => {
    let fixture: IsolatedFixture;
    let app: Knex;

    beforeAll(async () => {
      fixture = await openIsolated(engine);
      app = fixture.app;
      for (const tenantId of ['a', 'b']) {
        await fixture.tenant(tenantId).save('key', `value of ${tenantId}`);
        await fixture.tenant(tenantId).save('key', `second value of ${tenantId}`);
        await fixture.tenant(tenantId).get('key');
        const { id } = await fixture.admin('secrets').where({ tenant_id: tenantId }).first();
        const change = {
          tenant_id: tenantId,
          id,
          at: new Date(),
          kind: 'save',
          secret_id: id,
          secret_name: 'key',
          version: 1,
        };
        await fixture.admin('secret_changes').insert(change).onConflict().ignore();
      }
    });
    afterAll(async () => {
      await fixture?.close();
    });

    const asTenant = async <T>(tenantId: string, work: (trx: Knex.Transaction) => Promise<T>): Promise<T> =>
      await app.transaction(async (trx) => {
        await trx.raw("select set_config('keywright.tenant_id', ?, true)", [tenantId]);
        return await work(trx);
      });
    const count = async (db: Knex, table: string): Promise<number> =>
      Number((await db(table).count({ n: '*' }).first())?.n);

    it.each(TENANT_TABLE_NAMES)('%s shows no row to SQL that sets no tenant', async (table) => {
      expect(await count(fixture.admin, table)).toBeGreaterThan(1);
      expect(await count(app, table)).toBe(0);
      expect(fixture.psql(`select count(*) from ${table}`, 'app').trim()).toBe('0');
      expect(await asTenant('', (trx) => count(trx, table))).toBe(0);
    });

    it.each(TENANT_TABLE_NAMES)('%s shows a forgotten predicate the rows of one tenant only', async (table) => {
      const seen = await asTenant('a', (trx) => trx(table).distinct('tenant_id'));
      expect(seen).toEqual([{ tenant_id: 'a' }]);
      expect(await asTenant('a', (trx) => trx(table).where({ tenant_id: 'b' }))).toEqual([]);
    });

    it.each(TENANT_TABLE_NAMES)('%s takes no row for another tenant', async (table) => {
      const row = await fixture.admin(table).where({ tenant_id: 'b' }).first();
      delete row.leaf_index; // this one is the sealer's
      delete row.position; // and this one nobody's
      if (row.metadata !== undefined) row.metadata = JSON.stringify(row.metadata);
      for (const tenantId of ['a', '']) {
        const error = await rejection(asTenant(tenantId, (trx) => trx(table).insert(row)));
        expect(error).toMatchObject({ code: DENIED, message: expect.stringContaining('row-level security policy') });
      }
    });

    it('moves no row to another tenant, and changes or deletes none of it', async () => {
      const moved = asTenant('a', (trx) => trx('secrets').update({ tenant_id: 'b', name: 'moved' }));
      expect(await rejection(moved)).toMatchObject({ code: DENIED });
      const [changed, deleted] = await asTenant('a', async (trx) => [
        await trx('secrets').where({ tenant_id: 'b' }).update({ name: 'changed' }),
        await trx('secret_versions').where({ tenant_id: 'b' }).delete(),
      ]);
      expect([changed, deleted]).toEqual([0, 0]);
    });

    describe('the application role may not', () => {
      const attempts = [
        'truncate secrets cascade',
        'truncate secret_audit_log',
        'alter table secrets disable row level security',
        'alter table secrets no force row level security',
        'drop policy keywright_tenant on secrets',
        'alter policy keywright_tenant on secrets using (true)',
        'create policy mine on secrets using (true)',
        'alter table secrets owner to $app',
        'drop table secrets cascade',
        'set role $owner',
        'set role $maintenance',
        'set session authorization $maintenance',
        'alter role $app bypassrls',
        'alter role $app superuser',
        'grant $maintenance to $app',
        'create table referring (tenant_id varchar, id uuid, foreign key (tenant_id, id) references secrets (tenant_id, id))',
        'create trigger spy before insert on secrets for each row execute function suppress_redundant_updates_trigger()',
        "update secret_audit_log set actor = 'somebody else'",
        'update secret_audit_log set leaf_index = 7',
        'delete from secret_audit_log',
        'update secret_audit_tree set size = 0',
        'delete from secret_audit_checkpoints',
        'insert into secret_audit_leaves values (0, 0, null)',
        "update secret_root_keys set check_value = ''",
        "update secret_root_keys set status = 'retired'",
        'delete from secret_tenant_keys',
        "update secret_tenant_keys set status = 'destroyed', wrapped = null",
        'update secret_leases set holder = null',
        'copy secrets from program $$true$$',
        'create or replace function public.secret_get(text[]) returns void language sql as $$ select $$',
      ];
      it.each(attempts)('%s', async (attempt) => {
        const { app: appRole, owner, maintenance } = fixture.roles;
        const sql = attempt
          .replaceAll('$app', appRole)
          .replaceAll('$owner', owner)
          .replaceAll('$maintenance', maintenance);
        for (const tenantId of ['a', '']) {
          const error = await rejection(asTenant(tenantId, (trx) => trx.raw(sql.replaceAll('?', '\\?'))));
          expect(error).toMatchObject({ code: DENIED });
        }
      });
    });

    it('turning row security off in a session is an error, not a way in', async () => {
      const error = await rejection(
        app.transaction(async (trx) => {
          await trx.raw('set local row_security = off');
          return await trx('secrets').select('name');
        }),
      );
      expect(error).toMatchObject({ code: DENIED });
    });

    it("the owner's own SQL, views and functions see nothing, whoever calls them", async () => {
      fixture.psql(
        `create view owners_view as select * from secrets;
         create function owners_function() returns bigint language sql security definer as 'select count(*) from secrets';
         grant select on owners_view to ${fixture.roles.app};`,
        'owner',
      );
      try {
        expect(fixture.psql('select count(*) from secrets', 'owner').trim()).toBe('0');
        for (const tenantId of ['a', '']) {
          const seen = await asTenant(tenantId, async (trx) => [
            await count(trx, 'owners_view'),
            Number((await trx.raw('select owners_function() as n')).rows[0].n),
          ]);
          expect(seen).toEqual([0, 0]);
        }
        await fixture.open().ready(); // harmless, so nothing to refuse
      } finally {
        fixture.psql('drop view owners_view; drop function owners_function', 'owner');
      }
    });

    it("a view of the caller's rights shows one tenant", async () => {
      fixture.psql(
        `create view callers_view with (security_invoker = true) as select * from secrets;
         grant select on callers_view to ${fixture.roles.app};`,
      );
      try {
        expect(await count(app, 'callers_view')).toBe(0);
        expect(await asTenant('a', (trx) => trx('callers_view').distinct('tenant_id'))).toEqual([{ tenant_id: 'a' }]);
        await fixture.open().ready();
      } finally {
        fixture.psql('drop view callers_view');
      }
    });

    it('SQL that sets the tenant itself is that tenant: policies do not stop injected SQL', async () => {
      expect(await asTenant('b', (trx) => trx('secrets').pluck('tenant_id'))).toEqual(['b']);
    });

    it('a setting like a wildcard, a quote or another case is no tenant', async () => {
      for (const tenantId of ['%', '*', "a' or 'a'='a", 'A', 'a ', ' a', 'null', '$system%']) {
        expect(await asTenant(tenantId, (trx) => count(trx, 'secrets'))).toBe(0);
      }
    });

    it('every statement of a call uses the index that leads with the tenant', async () => {
      const { rows } = await asTenant('a', async (trx) => {
        await trx.raw('set local enable_seqscan = off');
        return await trx.raw("explain select * from secrets where tenant_id = 'a' and name = 'key' and not is_deleted");
      });
      expect(JSON.stringify(rows)).toMatch(/Index Scan using secrets_name.*tenant_id.*name/s);
    });
  },
  { engines: 'postgres' },
);
