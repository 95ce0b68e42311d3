import { isKeywrightError, rawCause } from '@keywright/envelope';
import type { TenantSecrets } from '@keywright/secrets';
import { describeEachEngine, type TestDatabase } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditRows, rejection, untilWaiting } from '../support.ts';
import { expectFault, expectInStep, expectKept, type Faulty, openFaulty } from './support.ts';

const TABLES = ['secrets', 'secret_versions', 'secret_audit_log'];

/** Makes writes to a table fail for the next `times` transactions. A sequence counts although they are undone. */
async function failWith(knex: Knex, table: string, state: string, times: number): Promise<void> {
  await knex.raw(`drop sequence if exists failures cascade`);
  await knex.raw(`create sequence failures`);
  await knex.raw(`create or replace function fail() returns trigger language plpgsql as $$
    begin if nextval('failures') <= ${times} then raise exception using errcode = '${state}'; end if; return new; end $$`);
  await knex.raw(`create trigger fail before insert or update on ${table} for each row execute function fail()`);
}

async function attempts(knex: Knex): Promise<number> {
  return Number((await knex('failures').first('last_value')).last_value);
}

async function heal(knex: Knex, table: string): Promise<void> {
  await knex.raw(`drop trigger fail on ${table}`);
}

const stateOf = (error: unknown): unknown =>
  isKeywrightError(error) ? (rawCause(error) as { code?: unknown } | undefined)?.code : undefined;

describeEachEngine(
  'a database that refuses statements',
  (engine) => {
    let database: TestDatabase;
    let tenants = 0;
    beforeAll(async () => {
      database = await engine.createDatabase();
    });
    afterAll(() => database.drop());

    /** A tenant of its own, with one secret. */
    async function openWith(
      settings?: string,
    ): Promise<Faulty & { readonly name: string; readonly tenant: TenantSecrets }> {
      const faulty = await openFaulty(database, settings);
      const name = `tenant ${++tenants}`;
      const tenant = faulty.store.tenant(name, { actor: 'x' });
      await tenant.save('key', 'first');
      return { ...faulty, name, tenant };
    }

    describe('because its disk is full', () => {
      it.each(TABLES)('keeps nothing of a save: %s', async (table) => {
        const { knex, store, name, tenant } = await openWith();
        await failWith(knex, table, '53100', 1_000);
        const error = await rejection(tenant.save('key', 'second'));
        expectFault(error);
        expect(stateOf(error)).toBe('53100');
        // a value that cannot be audited is not handed out
        if (table === 'secret_audit_log') expectFault(await rejection(tenant.get('key')));
        await heal(knex, table);
        expect((await tenant.get('key')).value).toBe('first');
        await expectInStep(knex);
        expect(await tenant.save('key', 'second')).toMatchObject({ version: 2 });
        await expectKept(store, [{ tenant: name, name: 'key', version: 2, value: 'second' }]);
      });
    });

    describe("because of other transactions, in a transaction of the store's own", () => {
      it.each(['40001', '40P01'])('%s is tried again, and done and audited once', async (state) => {
        const { knex, tenant } = await openWith();
        for (const table of TABLES) {
          await failWith(knex, table, state, 2);
          await tenant.save('key', `after ${table}`);
          expect(await attempts(knex)).toBeGreaterThanOrEqual(3);
          await heal(knex, table);
        }
        expect((await tenant.get('key')).version).toBe(1 + TABLES.length);
        await expectInStep(knex);
      });

      it.each(['40001', '40P01'])('%s of a read is tried again too', async (state) => {
        const { knex, name, tenant } = await openWith();
        await failWith(knex, 'secret_audit_log', state, 2);
        expect((await tenant.get('key')).value).toBe('first');
        expect((await tenant.list()).items).toHaveLength(1);
        const rows = await auditRows(knex, name);
        expect(rows.filter(({ action }) => action === 'secret.get')).toHaveLength(1);
        await heal(knex, 'secret_audit_log');
      });

      it('one of several reads is tried again alone, and each is audited once', async () => {
        const { knex, name, tenant } = await openWith();
        const names = Array.from({ length: 70 }, (_, index) => `n${index}`);
        await Promise.all(names.map((each) => tenant.save(each, each)));
        await failWith(knex, 'secret_audit_log', '40001', 1);
        const results = await tenant.getMany(names);
        expect(results.map((result) => result.outcome === 'found' && result.secret.value)).toEqual(names);
        expect(await attempts(knex)).toBeGreaterThan(1);
        await heal(knex, 'secret_audit_log');
        const gets = (await auditRows(knex, name)).filter(({ action }) => action === 'secret.get');
        expect(gets.map((row) => row.secret_name).toSorted()).toEqual(names.toSorted());
      });

      it('a read that was audited before its key was looked up is not audited again', async () => {
        const { name } = await openWith();
        const { knex, store } = await openFaulty(database); // as another process: no key is in its memory
        await store.ready();
        let failures = 0;
        knex.on('query', ({ sql }: { sql: string }) => {
          if (!sql.includes('secret_tenant_keys') || !sql.includes('"kek_id" in') || failures > 0) return;
          failures++;
          throw Object.assign(new Error('undone'), { code: '40001' });
        });
        const other = store.tenant(name, { actor: 'cold' });
        expect((await other.get('key')).value).toBe('first');
        expect(failures).toBe(1);
        expect((await auditRows(knex, name)).filter(({ actor }) => actor === 'cold')).toHaveLength(1);
      });

      it('is not tried for ever', async () => {
        const { knex, tenant } = await openWith();
        await failWith(knex, 'secret_versions', '40001', 1_000);
        const error = await rejection(tenant.save('key', 'second'));
        expectFault(error);
        expect(stateOf(error)).toBe('40001');
        expect(await attempts(knex)).toBeLessThan(10);
        await heal(knex, 'secret_versions');
        await expectInStep(knex);
      });

      it('a deadlock with the host does not reach the caller', async () => {
        const { knex, name, tenant } = await openWith("set deadlock_timeout = '50ms'");
        const trx = await knex.transaction();
        await trx.raw('lock table secret_audit_log in exclusive mode');
        const saving = tenant.save('key', 'second'); // has the secret's row, waits for the log
        await untilWaiting(knex);
        await trx('secrets').where({ tenant_id: name, name: 'key' }).forUpdate().select('id'); // waits for that row
        await trx.commit();
        expect(await saving).toMatchObject({ version: 2 });
        await expectInStep(knex);
      });
    });

    describe("in a caller's transaction", () => {
      it.each(['40001', '40P01', '57014', '53100'])('%s is thrown at once as retryable, and undone', async (state) => {
        const { knex, store, name, tenant } = await openWith();
        await failWith(knex, 'secret_versions', state, 1);
        const trx = await knex.transaction();
        const inside = store.tenant(name, { actor: 'x', trx });
        const error = await rejection(inside.save('key', 'second'));
        expectFault(error);
        expect(stateOf(error)).toBe(state);
        expect(await attempts(knex)).toBe(1);
        await trx.rollback();
        expect((await tenant.get('key')).version).toBe(1);
        await heal(knex, 'secret_versions');
        await knex.transaction(async (again) => {
          await store.tenant(name, { actor: 'x', trx: again }).save('key', 'second');
        });
        await expectInStep(knex);
      });

      it('two that wait for each other: one is told to start over, the other commits', async () => {
        const { knex, store, name, tenant } = await openWith("set deadlock_timeout = '50ms'");
        await tenant.save('other', 'first');
        const work = async (names: readonly [string, string], met: { count: number }): Promise<void> => {
          await knex.transaction(async (trx) => {
            const inside = store.tenant(name, { actor: 'x', trx });
            await inside.save(names[0], 'second');
            met.count++;
            while (met.count < 2) await new Promise((resolve) => setImmediate(resolve));
            await inside.save(names[1], 'second');
          });
        };
        const met = { count: 0 };
        const results = await Promise.allSettled([work(['key', 'other'], met), work(['other', 'key'], met)]);
        const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
        expect(refused).toHaveLength(1);
        expectFault(refused[0]);
        expect(stateOf(refused[0])).toBe('40P01');
        await work(['key', 'other'], { count: 1 });
        expect((await tenant.get('other')).version).toBe(3);
        await expectInStep(knex);
      });

      it('of serializable isolation: what is not serializable is retryable', async () => {
        const { knex, store, name, tenant } = await openWith();
        const trx = await knex.transaction({ isolationLevel: 'repeatable read' });
        await trx('secrets').select('id'); // its snapshot
        await tenant.save('key', 'second');
        const error = await rejection(store.tenant(name, { actor: 'x', trx }).save('key', 'third'));
        expectFault(error);
        expect(stateOf(error)).toBe('40001');
        await trx.rollback();
        await expectInStep(knex);
      });
    });

    it.each([
      ['statement', '57014', "set statement_timeout = '150ms'"],
      ['lock', '55P03', "set lock_timeout = '150ms'"],
    ])('because of its %s timeout, keeps nothing', async (_what, state, settings) => {
      const { knex, store, name, tenant } = await openWith(settings);
      const trx = await knex.transaction();
      await trx('secrets').where({ tenant_id: name, name: 'key' }).forUpdate().select('id');
      const error = await rejection(tenant.save('key', 'second'));
      expectFault(error);
      expect(stateOf(error)).toBe(state);
      // in a transaction of a caller, who may go on with it
      const other = await knex.transaction();
      expectFault(await rejection(store.tenant(name, { actor: 'x', trx: other }).save('key', 'second')));
      await store.tenant(name, { actor: 'x', trx: other }).save('beside', 'kept');
      await other.commit();
      await trx.rollback();
      expect(await tenant.save('key', 'second')).toMatchObject({ version: 2 });
      expect((await tenant.get('beside')).value).toBe('kept');
      await expectInStep(knex);
    });
  },
  { engines: 'postgres18' },
);
