import { hostTableSecuritySql, tenantScope } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rejection } from '../support.ts';
import { type IsolatedFixture, openIsolated } from './support.ts';

const UUID_A = '0198a000-0000-7000-8000-00000000000a';
const UUID_B = '0198a000-0000-7000-8000-00000000000b';

describeEachEngine(
  "tenantScope on the host's own tables",
  (engine) => {
    let fixture: IsolatedFixture;
    let app: Knex;

    beforeAll(async () => {
      fixture = await openIsolated(engine);
      app = fixture.app;
      const { app: appRole, maintenance: maintenanceRole } = fixture.roles;
      fixture.psql(
        `create schema billing;
         create table billing.invoices (org varchar(40) not null, id integer not null, primary key (org, id));
         create table "Odd ""name""" ("Tenant Id" uuid not null, id integer);
         grant usage on schema billing to ${appRole}, ${maintenanceRole};
         grant select, insert, update, delete, truncate on billing.invoices to ${appRole};
         grant select on billing.invoices to ${maintenanceRole};
         grant all on "Odd ""name""" to ${appRole};
         ${hostTableSecuritySql({ table: 'billing.invoices', column: 'org', appRole, maintenanceRole })}
         ${hostTableSecuritySql({ table: 'billing.invoices', column: 'org', appRole, maintenanceRole })}
         ${hostTableSecuritySql({ table: 'Odd "name"', column: 'Tenant Id', columnType: 'uuid', appRole })}
         insert into billing.invoices select 'a', n from generate_series(1, 3) n union all select 'b', 1;
         insert into "Odd ""name""" values ('${UUID_A}', 1), ('${UUID_B}', 2);`,
      );
    });
    afterAll(async () => {
      await fixture?.close();
    });

    const invoices = async (db: Knex): Promise<string> =>
      (await db('billing.invoices').orderBy(['org', 'id']).select('org', 'id')).map(({ org, id }) => org + id).join();
    const tenantIn = async (db: Knex): Promise<string> =>
      (await db.raw("select coalesce(current_setting('keywright.tenant_id', true), '') as t")).rows[0].t;

    it('shows one tenant, and without it none', async () => {
      expect(await invoices(app)).toBe('');
      expect(await tenantScope(app, 'a', invoices)).toBe('a1,a2,a3');
      expect(await tenantScope(app, 'b', invoices)).toBe('b1');
      expect(await invoices(app)).toBe('');
      expect(await invoices(fixture.maintenance)).toBe('a1,a2,a3,b1');
    });

    it('takes columns of another type, and names that need quotes', async () => {
      const ids = (trx: Knex): Promise<unknown> => trx('Odd "name"').pluck('id');
      expect(await tenantScope(app, UUID_A, ids)).toEqual([1]);
      expect(await ids(app)).toEqual([]);
    });

    it('refuses rows of another tenant, and TRUNCATE', async () => {
      const insert = tenantScope(app, 'a', (trx) => trx('billing.invoices').insert({ org: 'b', id: 9 }));
      expect(await rejection(insert)).toMatchObject({ code: '42501' });
      expect(await rejection(tenantScope(app, 'a', (trx) => trx.raw('truncate billing.invoices')))).toMatchObject({
        code: '42501',
      });
      expect(await invoices(fixture.admin)).toBe('a1,a2,a3,b1');
    });

    it('leaves no tenant on a pooled connection, whatever work does', async () => {
      const single = fixture.connect(fixture.url('app'), { pool: { min: 1, max: 1 } });
      await tenantScope(single, 'a', invoices);
      expect(await invoices(single)).toBe('');
      await rejection(tenantScope(single, 'a', (trx) => trx.raw('select 1/0')));
      expect(await invoices(single)).toBe('');
      const outcome = tenantScope(single, 'a', () => Promise.reject(new Error('mine')));
      expect(await rejection(outcome)).toMatchObject({ message: 'mine' });
      expect(await invoices(single)).toBe('');
    });

    it("rolls back what fails, in a transaction of its own and in the caller's", async () => {
      const failing = async (trx: Knex): Promise<never> => {
        await trx('billing.invoices').insert({ org: 'a', id: 7 });
        throw new Error('mine');
      };
      await rejection(tenantScope(app, 'a', failing));
      await app.transaction(async (trx) => {
        await rejection(tenantScope(trx, 'a', failing));
        await tenantScope(trx, 'b', (inside) => inside('billing.invoices').insert({ org: 'b', id: 2 }));
      });
      expect(await invoices(fixture.admin)).toBe('a1,a2,a3,b1,b2');
      await fixture.admin('billing.invoices').where({ id: 2, org: 'b' }).delete();
    });

    it("gives two tenants in one caller's transaction, nested too, and then what was there before", async () => {
      await app.transaction(async (trx) => {
        const seen = await tenantScope(trx, 'a', async (a) => [
          await invoices(a),
          await tenantScope(a, 'b', invoices),
          await invoices(a),
        ]);
        expect(seen).toEqual(['a1,a2,a3', 'b1', 'a1,a2,a3']);
        expect(await tenantIn(trx)).toBe('');
        await trx.raw("select set_config('keywright.tenant_id', 'b', true)");
        expect(await tenantScope(trx, 'a', invoices)).toBe('a1,a2,a3');
        expect(await invoices(trx)).toBe('b1');
      });
    });

    it('puts the tenant back after an error of the database, and in a savepoint of the caller that is rolled back', async () => {
      await app.transaction(async (trx) => {
        await tenantScope(trx, 'a', async (a) => {
          expect(await rejection(tenantScope(a, 'b', (b) => b.raw('select 1/0')))).toMatchObject({ code: '22012' });
          expect(await invoices(a)).toBe('a1,a2,a3');
          await a.raw('savepoint mine');
          await rejection(
            a.transaction(async (nested) => {
              await tenantScope(nested, 'b', invoices);
              throw new Error('mine');
            }),
          );
          await a.raw('rollback to savepoint mine');
          expect(await invoices(a)).toBe('a1,a2,a3');
        });
        expect(await tenantIn(trx)).toBe('');
      });
    });

    it('takes turns where scopes and calls of the store start together in one transaction', async () => {
      await fixture.tenant('a').save('key', 'value of a');
      await fixture.tenant('b').save('key', 'value of b');
      await app.transaction(async (trx) => {
        const slow = (tenantId: string): Promise<string> =>
          tenantScope(trx, tenantId, async (inside) => {
            await inside.raw('select pg_sleep(0.01)');
            const [first, second] = await Promise.all([
              fixture.tenant(tenantId, inside).get('key'),
              tenantScope(inside, tenantId === 'a' ? 'b' : 'a', invoices),
            ]);
            return `${first.value} ${second} ${await invoices(inside)}`;
          });
        const [a, b, secret] = await Promise.all([slow('a'), slow('b'), fixture.tenant('a', trx).get('key')]);
        expect(a).toBe('value of a b1 a1,a2,a3');
        expect(b).toBe('value of b a1,a2,a3 b1');
        expect(secret.value).toBe('value of a');
        expect(await tenantIn(trx)).toBe('');
      });
    });

    it('ends after the calls that work started and did not wait for, and undoes them too where it fails', async () => {
      await fixture.tenant('a').save('key', 'value of a');
      await app.transaction(async (trx) => {
        let started: Promise<unknown>[] = [];
        const failed = tenantScope(trx, 'a', async (inside) => {
          await inside('billing.invoices').insert({ org: 'a', id: 8 });
          const tenant = fixture.tenant('a', inside);
          started = [
            tenant.exists('key'),
            Promise.reject(new Error('mine')),
            tenant.save('left', 'x'),
            tenantScope(inside, 'b', async (deep) => [await deep.raw('select pg_sleep(0.02)'), await invoices(deep)]),
          ];
          await Promise.all(started);
        });
        expect(await rejection(failed)).toMatchObject({ message: 'mine' });
        const outcomes = await Promise.allSettled(started);
        expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
        expect(outcomes.at(-1)).toMatchObject({ value: [expect.anything(), 'b1'] });
        expect([await tenantIn(trx), await invoices(trx)]).toEqual(['', '']);
        expect(await tenantScope(trx, 'a', invoices)).toBe('a1,a2,a3');
        expect(await fixture.tenant('a', trx).exists('left')).toBe(false);
      });
      expect(await invoices(fixture.admin)).toBe('a1,a2,a3,b1');
    });

    it('mixes many tenants on few connections without mixing them up', async () => {
      const wrong: string[] = [];
      await Promise.all(
        Array.from({ length: 60 }, async (_, index) => {
          const [tenantId, expected] = index % 2 ? ['a', 'a1,a2,a3'] : ['b', 'b1'];
          const seen = await tenantScope(app, tenantId as string, invoices);
          if (seen !== expected) wrong.push(seen);
        }),
      );
      expect(wrong).toEqual([]);
    });

    it('takes nothing but a type as the type of a column', () => {
      const { app: appRole } = fixture.roles;
      for (const columnType of ['text or true', 'text is not null', 'no such type']) {
        const sql = hostTableSecuritySql({ table: 'billing.invoices', column: 'org', columnType, appRole });
        expect(() => fixture.psql(sql)).toThrow(/syntax error/);
      }
      const sql = hostTableSecuritySql({
        table: 'billing.invoices',
        column: 'org',
        columnType: 'character varying',
        appRole,
      });
      fixture.psql(sql);
    });

    it("refuses the store's own tenant, and transactions that have ended", async () => {
      for (const tenantId of ['$system', '', 'a\0', 7 as never, undefined as never]) {
        expect(await rejection(tenantScope(app, tenantId, invoices))).toMatchObject({
          code: 'ERR_SECRETS_INVALID_ARGUMENT',
        });
      }
      const trx = await app.transaction();
      await trx.commit();
      expect(await rejection(tenantScope(trx, 'a', invoices))).toMatchObject({ code: 'ERR_SECRETS_INVALID_ARGUMENT' });
      expect(await rejection(tenantScope({} as Knex, 'a', invoices))).toMatchObject({
        code: 'ERR_SECRETS_INVALID_ARGUMENT',
      });
    });

    it('quotes whatever names it is given', () => {
      const roles = { appRole: 'app"; drop table x; --' };
      const sql = hostTableSecuritySql({ ...roles, table: 'a"b.c"; d', column: "t'x" });
      expect(sql).toContain('"a""b"."c""; d"');
      expect(sql).toContain('"app""; drop table x; --"');
      for (const bad of [
        { table: 'a.b.c' },
        { table: '' },
        { table: 'a\n' },
        { table: 'x'.repeat(64) },
        { columnType: 'uuid; drop' },
        { column: '' },
        { appRole: 'public' },
        { appRole: 7 },
      ]) {
        expect(() => hostTableSecuritySql({ table: 't', appRole: 'app', ...bad } as never)).toThrow(
          expect.objectContaining({ code: 'ERR_SECRETS_INVALID_ARGUMENT' }),
        );
      }
    });
  },
  { engines: 'postgres' },
);

it('tenantScope is refused on SQLite, which has no row-level security', async () => {
  const knex = createKnex({ client: 'better-sqlite3', connection: ':memory:', useNullAsDefault: true });
  try {
    const scope = tenantScope(knex, 'a', async () => 'never');
    expect(await rejection(scope)).toMatchObject({ code: 'ERR_SECRETS_UNSUPPORTED_DATABASE' });
  } finally {
    await knex.destroy();
  }
});
