import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { rejection } from '../support.ts';
import { type IsolatedFixture, openIsolated, TENANT_TABLE_NAMES } from './support.ts';

describeEachEngine(
  "under row-level security, in a caller's transaction,",
  (engine) => {
    let fixture: IsolatedFixture;
    let next = 0;
    let a: string;
    let b: string;

    beforeAll(async () => {
      fixture = await openIsolated(engine);
    });
    afterAll(async () => {
      await fixture?.close();
    });
    beforeEach(async () => {
      a = `a-${++next}`;
      b = `b-${next}`;
      await fixture.tenant(a).save('key', 'value of a');
      await fixture.tenant(b).save('key', 'value of b');
    });

    const tenantIn = async (db: Knex): Promise<string> =>
      (await db.raw("select coalesce(current_setting('keywright.tenant_id', true), '') as t")).rows[0].t;
    const rowsSeen = async (db: Knex): Promise<number> => {
      let seen = 0;
      for (const table of TENANT_TABLE_NAMES) seen += Number((await db(table).count({ n: '*' }).first())?.n);
      return seen;
    };

    it('two tenants read and write', async () => {
      await fixture.app.transaction(async (trx) => {
        expect((await fixture.tenant(a, trx).get('key')).value).toBe('value of a');
        await fixture.tenant(b, trx).save('key', 'new value of b');
        await fixture.tenant(a, trx).save('other', 'of a');
        expect((await fixture.tenant(b, trx).get('key')).value).toBe('new value of b');
        expect((await fixture.tenant(a, trx).list()).items).toHaveLength(2);
        expect(await rowsSeen(trx)).toBe(0);
      });
      expect((await fixture.tenant(b).get('key')).value).toBe('new value of b');
      expect((await fixture.tenant(a).get('other')).value).toBe('of a');
    });

    it('calls of two tenants that start together do not see each other', async () => {
      await fixture.app.transaction(async (trx) => {
        const values = await Promise.all(
          Array.from({ length: 20 }, (_, index) => fixture.tenant(index % 2 ? a : b, trx).get('key')),
        );
        expect(values.map(({ value }) => value)).toEqual(
          Array.from({ length: 20 }, (_, index) => (index % 2 ? 'value of a' : 'value of b')),
        );
      });
    });

    it("the caller's own SQL sees what it saw before each call", async () => {
      await fixture.app.transaction(async (trx) => {
        for (const before of ['', b, 'nobody']) {
          await trx.raw("select set_config('keywright.tenant_id', ?, true)", [before]);
          const seen = await rowsSeen(trx);
          await fixture.tenant(a, trx).get('key');
          await fixture.tenant(a, trx).save('key', 'again');
          await fixture.tenant(a, trx).list();
          await rejection(fixture.tenant(a, trx).get('missing'));
          await rejection(fixture.tenant(a, trx).save('key', 'x', { ifAbsent: true }));
          await rejection(fixture.tenant(a, trx).delete('missing'));
          expect([await tenantIn(trx), await rowsSeen(trx)]).toEqual([before, seen]);
        }
      });
    });

    it('a setting of the session is seen again too', async () => {
      const single = fixture.connect(fixture.url('app'), { pool: { min: 1, max: 1 } });
      await single.raw("select set_config('keywright.tenant_id', ?, false)", [b]);
      const store = fixture.open({ knex: single });
      await single.transaction(async (trx) => {
        expect((await store.tenant(a, { actor: 'x', trx }).get('key')).value).toBe('value of a');
        expect(await tenantIn(trx)).toBe(b);
      });
      expect((await store.tenant(a, { actor: 'x' }).get('key')).value).toBe('value of a');
      expect(await single('secrets').pluck('tenant_id')).toEqual([b]);
    });

    it('an error of the database inside a call leaves the tenant as it was', async () => {
      await fixture.app.transaction(async (trx) => {
        await trx.raw("select set_config('keywright.tenant_id', ?, true)", [b]);
        await trx.raw('savepoint mine');
        await trx.raw("set local statement_timeout = '1ms'");
        const big = fixture.tenant(a, trx).save('big', 'x'.repeat(1_000_000));
        expect(await rejection(big)).toMatchObject({ code: 'ERR_SECRETS_DATABASE', retryable: true });
        await trx.raw('rollback to savepoint mine');
        expect(await tenantIn(trx)).toBe(b);
        expect((await fixture.tenant(a, trx).get('key')).value).toBe('value of a');
        expect(await tenantIn(trx)).toBe(b);
      });
    });

    it('savepoints of the caller that are rolled back do not bring a tenant back', async () => {
      await fixture.app.transaction(async (trx) => {
        const nested = trx.transaction(async (inner) => {
          await fixture.tenant(a, inner).save('inside', 'x');
          throw new Error('mine');
        });
        expect(await rejection(nested)).toMatchObject({ message: 'mine' });
        expect(await rowsSeen(trx)).toBe(0);
        expect(await fixture.tenant(a, trx).exists('inside')).toBe(false);
        expect(await tenantIn(trx)).toBe('');
      });
    });

    it('SQL run on the pooled connection after any call sees no row', async () => {
      const single = fixture.connect(fixture.url('app'), { pool: { min: 1, max: 1 } });
      const tenant = fixture.open({ knex: single }).tenant(a, { actor: 'x' });
      const calls: (() => Promise<unknown>)[] = [
        () => tenant.get('key'),
        () => tenant.save('key', 'again'),
        () => tenant.update('key', { value: 'once more' }),
        () => tenant.list(),
        () => tenant.exists('key'),
        () => tenant.versions('key'),
        () => tenant.auditLog(),
        () => rejection(tenant.get('missing')),
        () => rejection(tenant.save('key', 'x', { ifAbsent: true })),
        () => tenant.delete('key'),
      ];
      for (const call of calls) {
        await call();
        expect([await tenantIn(single), await rowsSeen(single)]).toEqual(['', 0]);
      }
    });
  },
  { engines: 'postgres' },
);
