import { pgBouncerProgram, requireOrSkip, startPgBouncer, type TestServer } from '@keywright/testkit';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rejection } from '../support.ts';
import { type IsolatedFixture, openIsolated } from './support.ts';

const program = requireOrSkip('pgbouncer', pgBouncerProgram(), 'It is the Debian package pgbouncer.');
const TENANTS = ['a', 'b', 'c', 'd', 'e', 'f'];

describe.skipIf(program === undefined)('through PgBouncer in transaction mode', () => {
  describeEachEngine(
    'the store',
    (engine) => {
      let fixture: IsolatedFixture;
      let bouncer: TestServer;
      let clients: readonly Knex[];
      let auditKnex: Knex;

      beforeAll(async () => {
        fixture = await openIsolated(engine);
        auditKnex = fixture.connect(fixture.url('app'), { pool: { min: 0, max: 2 } });
        // Fewer connections to the server than clients: they take turns on each, transaction by transaction.
        bouncer = await startPgBouncer({ upstream: fixture.url(), poolSize: 2, users: fixture.passwords });
        clients = ['app', 'app', 'maintenance'].map((role) => {
          const { username, password, pathname } = new URL(fixture.url(role as 'app' | 'maintenance'));
          return fixture.connect(Object.assign(new URL(bouncer.url), { username, password, pathname }).href, {
            pool: { min: 0, max: 8 },
          });
        });
      });
      afterAll(async () => {
        for (const client of clients ?? []) await client.destroy();
        await bouncer?.stop();
        await fixture?.close();
      });

      const open = (knex: Knex | undefined) =>
        fixture.open({
          knex: knex as Knex,
          // Past the pooler: its connections may all be in transactions that wait for their audit rows.
          auditKnex,
          preparedStatements: false,
          rowSecurity: { maintenance: clients[2] as Knex },
        });

      it('serves many tenants on two server connections, from two pools, without mixing them up', async () => {
        const stores = [open(clients[0]), open(clients[1])];
        for (const tenantId of TENANTS) await stores[0]?.tenant(tenantId, { actor: 'x' }).save('key', `of ${tenantId}`);
        const wrong: unknown[] = [];
        let raw = 0;
        const work = Array.from({ length: 180 }, async (_, index) => {
          const tenantId = TENANTS[index % TENANTS.length] as string;
          const knex = clients[index % 2] as Knex;
          const tenant = stores[index % 2]?.tenant(tenantId, { actor: 'x' });
          const kind = index % 5;
          if (kind === 0) {
            const { value } = (await tenant?.get('key')) ?? {};
            if (value !== `of ${tenantId}`) wrong.push(value);
          } else if (kind === 1) {
            await tenant?.save(`own-${index}`, `of ${tenantId}`);
          } else if (kind === 2) {
            const page = await tenant?.list({ limit: 100 });
            for (const { name } of page?.items ?? []) {
              if (name !== 'key' && TENANTS[Number(name.slice(4)) % TENANTS.length] !== tenantId) wrong.push(name);
            }
          } else if (kind === 3) {
            // somebody else's SQL, on a connection that was another tenant's a moment ago
            const rows = await knex('secrets').select('tenant_id');
            raw++;
            if (rows.length > 0) wrong.push(rows);
          } else {
            await knex.transaction(async (trx) => {
              const inside = stores[index % 2]?.tenant(tenantId, { actor: 'x', trx });
              const other = TENANTS[(index + 1) % TENANTS.length] as string;
              const { value } = (await inside?.get('key')) ?? {};
              const theirs = await stores[index % 2]?.tenant(other, { actor: 'x', trx }).get('key');
              if (value !== `of ${tenantId}` || theirs?.value !== `of ${other}`) wrong.push([value, theirs?.value]);
              const rows = await trx('secrets').select('tenant_id');
              if (rows.length > 0) wrong.push(rows);
            });
          }
        });
        await Promise.all(work);
        expect(wrong).toEqual([]);
        expect(raw).toBe(36);
      });

      it('leaves no tenant behind for the next client of the same server connection', async () => {
        const single = await startPgBouncer({ upstream: fixture.url(), poolSize: 1, users: fixture.passwords });
        const { username, password, pathname } = new URL(fixture.url('app'));
        const url = Object.assign(new URL(single.url), { username, password, pathname }).href;
        const [first, second] = [fixture.connect(url), fixture.connect(url)];
        try {
          const store = fixture.open({ knex: first, auditKnex, preparedStatements: false });
          const backend = async (knex: Knex): Promise<unknown> =>
            (await knex.raw('select pg_backend_pid() as p')).rows[0].p;
          expect(await backend(first)).toBe(await backend(second));
          const tenant = store.tenant('a', { actor: 'x' });
          for (const call of [
            () => tenant.save('mine', 'x'),
            () => tenant.get('mine'),
            () => tenant.list(),
            () => rejection(tenant.get('missing')),
            () => first.transaction(async (trx) => store.tenant('a', { actor: 'x', trx }).get('mine')),
          ]) {
            await call();
            const { rows } = await second.raw(
              "select coalesce(current_setting('keywright.tenant_id', true), '') as t, (select count(*)::int from secrets) as n",
            );
            expect(rows).toEqual([{ t: '', n: 0 }]);
          }
        } finally {
          await first.destroy();
          await second.destroy();
          await single.stop();
        }
      });

      it('rotates the root key, and says what each audit row says', async () => {
        const store = open(clients[0]);
        fixture.root.add('v2', new Uint8Array(32).fill(2));
        fixture.root.activate('v2');
        expect(await store.rotateRoot({ actor: 'x' })).toMatchObject({ retired: ['v1'] });
        const tenant = store.tenant('b', { actor: 'x' });
        expect((await tenant.get('key')).value).toBe('of b');
        const { items } = await tenant.auditLog();
        expect(items.length).toBeGreaterThan(5);
        expect(items.every(({ authentic }) => authentic)).toBe(true);
      });

      it('holds no lock of a session and listens to nothing', async () => {
        const { rows } = await fixture.admin.raw(
          `select (select count(*)::int from pg_locks where locktype = 'advisory') as locks,
             (select count(*)::int from pg_stat_activity where query ~* '^\\s*listen') as listeners`,
        );
        expect(rows).toEqual([{ locks: 0, listeners: 0 }]);
      });
    },
    { engines: 'postgres' },
  );
});
