import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rejection } from '../support.ts';
import { type IsolatedFixture, openIsolated } from './support.ts';

const TENANTS = Array.from({ length: 9 }, (_, index) => `t${index}`);

describeEachEngine(
  'under row-level security, calls of many tenants that go out together',
  (engine) => {
    let fixture: IsolatedFixture;

    beforeAll(async () => {
      fixture = await openIsolated(engine);
      await Promise.all(TENANTS.map((tenantId) => fixture.tenant(tenantId).save('key', `of ${tenantId}`)));
      for (const tenantId of TENANTS) await fixture.tenant(tenantId).save('second', `second of ${tenantId}`);
    });
    afterAll(async () => {
      await fixture?.close();
    });

    it('read what is theirs, in whatever order, with their audit rows, whoever has nothing', async () => {
      const calls = Array.from({ length: 120 }, (_, index) => ({
        tenantId: TENANTS[(index * 7) % TENANTS.length] as string,
        name: ['key', 'second', 'missing'][index % 3] as string,
      }));
      const before = await fixture.admin('secret_audit_log').where({ action: 'secret.get' }).count({ n: '*' }).first();
      const seen = await Promise.all(
        calls.map(async ({ tenantId, name }) => {
          const tenant = fixture.store.tenant(tenantId, { actor: `of ${tenantId}`, request: { id: tenantId } });
          return await tenant.get(name).then(
            ({ value }) => value,
            (error: { code: string }) => error.code,
          );
        }),
      );
      const expected = { key: 'of ', second: 'second of ' };
      expect(seen).toEqual(
        calls.map(({ tenantId, name }) =>
          name === 'missing' ? 'ERR_SECRETS_NOT_FOUND' : expected[name as keyof typeof expected] + tenantId,
        ),
      );
      const rows = await fixture.admin('secret_audit_log').where({ action: 'secret.get' });
      expect(rows).toHaveLength(Number(before?.n) + calls.length);
      for (const tenantId of TENANTS) {
        const { items } = await fixture.tenant(tenantId).auditLog({ limit: 100 });
        const gets = items.filter(({ action }) => action === 'secret.get');
        expect(gets.every((entry) => entry.authentic && entry.actor === `of ${tenantId}`)).toBe(true);
        expect(gets.every((entry) => entry.request.id === tenantId)).toBe(true);
        expect(gets.length).toBe(calls.filter((call) => call.tenantId === tenantId).length);
      }
    });

    it('save what is theirs', async () => {
      await Promise.all(
        TENANTS.flatMap((tenantId) =>
          [1, 2, 3].map((n) => fixture.tenant(tenantId).save(`n${n}`, `${n} of ${tenantId}`)),
        ),
      );
      for (const tenantId of TENANTS) {
        const results = await fixture.tenant(tenantId).getMany(['n1', 'n2', 'n3']);
        expect(results.map((result) => result.outcome === 'found' && result.secret.value)).toEqual(
          [1, 2, 3].map((n) => `${n} of ${tenantId}`),
        );
      }
    });

    it('are one statement each, under each tenant: none sees what is of another, and all fail together', async () => {
      const { rows: keys } = await fixture.admin.raw(
        "select tenant_id, id from secrets where name = 'key' and tenant_id in ('t1', 't2') order by 1",
      );
      const call = async (tenants: readonly string[], ids: readonly string[]): Promise<unknown> =>
        (
          await fixture.app.raw('select n::int, name from secret_read_many(?, ?, ?, ?, now())', [
            tenants,
            ids.map(() => null),
            ids,
            ids.map(() => null),
          ] as never)
        ).rows;
      const [one, two] = keys.map(({ id }: { id: string }) => id);
      expect(await call(['t1', 't2', 't1', 't2'], [one, two, one, two])).toEqual(
        [1, 2, 3, 4].map((n) => ({ n, name: 'key' })),
      );
      expect(await call(['t1', 't1', 't2', 't2'], [one, two, one, two])).toEqual(
        [1, 4].map((n) => ({ n, name: 'key' })),
      );
      expect(await call(['t2', 't2'], [one, two])).toEqual([{ n: 2, name: 'key' }]);
      expect(await call([], [])).toEqual([]);
      // Whoever comes last is refused, after rows of the others were written.
      const audit = (tenants: readonly string[]): string =>
        `select secret_audit(array['${tenants.join("','")}'], array(select gen_random_uuid() from generate_series(1, 3)),
           array[now(), now(), now()], array['x', 'x', 'x'], array['torn', 'torn', 'torn'], array[null, null, null]::uuid[],
           array[null, null, null]::text[], array[null, null, null]::int[], array['success', 'success', 'neither'],
           array['{}', '{}', '{}'], array[null, null, null]::bytea[], array[null, null, null]::bytea[],
           array[null, null, null]::bytea[], array['x', 'x', 'x']::bytea[])`;
      await fixture.app.transaction(async (trx) => {
        await trx.raw("select set_config('keywright.tenant_id', 't3', true)");
        for (const tenants of [
          ['t1', 't1', 't2'],
          ['t1', 't2', 't3'],
          ['t1', 't1', 't1'],
        ]) {
          await trx.raw('savepoint mine');
          expect(await rejection(trx.raw(audit(tenants)) as never)).toMatchObject({ code: '23514' });
          await trx.raw('rollback to savepoint mine');
          expect((await trx.raw("select current_setting('keywright.tenant_id') as t")).rows).toEqual([{ t: 't3' }]);
        }
      });
      expect(await fixture.admin('secret_audit_log').where({ action: 'torn' })).toEqual([]);
      const { rows } = await fixture.app.raw("select coalesce(current_setting('keywright.tenant_id', true), '') as t");
      expect(rows).toEqual([{ t: '' }]);
    });
  },
  { engines: 'postgres' },
);
