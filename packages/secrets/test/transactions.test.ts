import { migrateSecretStore } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex from 'knex';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { auditRows, type Fixture, openUnmigrated, rejection } from './support.ts';

describeEachEngine("a caller's transaction", (engine) => {
  let fixture: Fixture;

  beforeEach(async () => {
    fixture = await openUnmigrated(engine);
  });
  afterEach(async () => {
    await fixture?.close();
  });

  it('can hold the migration: rolled back, nothing is left', async () => {
    const { knex } = fixture;
    const failure = new Error('rolled back by the caller');
    const attempt = knex.transaction(async (trx) => {
      await migrateSecretStore({ knex, trx });
      await trx('secrets').select('*');
      throw failure;
    });
    expect(await rejection(attempt)).toBe(failure);
    expect(await knex.schema.hasTable('secrets')).toBe(false);
    expect(await knex.schema.hasTable('secret_migrations')).toBe(false);
    await knex.transaction((trx) => fixture.store.migrate({ trx }));
    expect(await knex.schema.hasTable('secrets')).toBe(true);
  });

  it('commits a change and its audit row together', async () => {
    await fixture.store.migrate();
    await fixture.knex.transaction(async (trx) => {
      const tenant = fixture.tenant('acme', trx);
      await tenant.save('key', 'x');
      expect((await tenant.get('key')).value).toBe('x');
    });
    expect((await fixture.tenant('acme').get('key')).value).toBe('x');
    const actions = (await auditRows(fixture.knex, 'acme')).map(({ action }) => action).sort();
    expect(actions).toEqual(['secret.get', 'secret.get', 'secret.save', 'tenant-key.create']);
  });

  it('takes the very first use of a store, and works on after it rolled back', async () => {
    await fixture.store.migrate();
    const failure = new Error('rolled back by the caller');
    const attempt = fixture.knex.transaction(async (trx) => {
      await fixture.tenant('acme', trx).save('key', 'lost');
      throw failure;
    });
    expect(await rejection(attempt)).toBe(failure);
    const rows = await auditRows(fixture.knex, 'acme');
    expect(rows.filter(({ action }) => action === 'secret.save')).toEqual([]);
    expect(await fixture.tenant('acme').exists('key')).toBe(false);
    await fixture.tenant('acme').save('key', 'kept');
    const fresh = fixture.reopen(fixture.root);
    expect((await fresh.tenant('acme', { actor: 'x' }).get('key')).value).toBe('kept');
    expect((await fresh.tenant('acme', { actor: 'x' }).auditLog()).items.every(({ authentic }) => authentic)).toBe(
      true,
    );
  });

  it('that rolled back leaves no tenant key behind that anything was written under', async () => {
    await fixture.store.migrate();
    await fixture.store.ready();
    await rejection(
      fixture.knex.transaction(async (trx) => {
        await fixture.tenant('acme', trx).save('key', 'lost');
        throw new Error('rolled back by the caller');
      }),
    );
    expect(await fixture.knex('secret_tenant_keys').where({ tenant_id: 'acme' })).toEqual([]);
    const { id } = await fixture.tenant('acme').save('key', 'kept');
    const used = await fixture.knex('secret_versions').where({ secret_id: id }).pluck('kek_id');
    expect(await fixture.knex('secret_tenant_keys').where({ tenant_id: 'acme' }).pluck('kek_id')).toEqual(used);
  });

  it('that goes on after a refused update has nothing of it', async () => {
    await fixture.store.migrate();
    await fixture.tenant('acme').save('key', 'one', { metadata: { a: 'x'.repeat(10_000) } });
    await fixture.knex.transaction(async (trx) => {
      const attempt = fixture.tenant('acme', trx).update('key', { value: 'two', metadata: { b: 'y'.repeat(10_000) } });
      expect(await rejection(attempt)).toMatchObject({ code: 'ERR_SECRETS_INVALID_ARGUMENT' });
    });
    expect((await fixture.tenant('acme').versions('key')).items).toHaveLength(1);
    expect(await fixture.tenant('acme').save('key', 'two')).toMatchObject({ version: 2 });
  });

  it('does not wait for a check that waits for its connection', async () => {
    await fixture.store.migrate();
    await fixture.tenant('acme').save('key', 'x');
    const knex = createKnex({ ...fixture.knexConfig, pool: { ...fixture.knexConfig.pool, min: 0, max: 1 } });
    try {
      const store = fixture.reopen(fixture.root, { knex }); // not ready yet
      const started = Promise.withResolvers<void>();
      const queued = Promise.withResolvers<void>();
      const inside = knex.transaction(async (trx) => {
        started.resolve();
        await queued.promise;
        return (await store.tenant('acme', { actor: 'x', trx }).get('key')).value;
      });
      await started.promise;
      const outside = store.tenant('acme', { actor: 'x' }).get('key');
      await new Promise((resolve) => setTimeout(resolve, 50));
      queued.resolve();
      expect(await inside).toBe('x');
      expect((await outside).value).toBe('x');
      await store.close();
    } finally {
      await knex.destroy();
    }
  });

  it('serves several tenants at once', async () => {
    await fixture.store.migrate();
    await fixture.knex.transaction(async (trx) => {
      await fixture.tenant('acme', trx).save('key', 'of acme');
      await fixture.tenant('globex', trx).save('key', 'of globex');
      expect((await fixture.tenant('acme', trx).get('key')).value).toBe('of acme');
    });
    expect((await fixture.tenant('globex').get('key')).value).toBe('of globex');
  });

  it('stays usable after a refusal', async () => {
    await fixture.store.migrate();
    await fixture.knex.transaction(async (trx) => {
      const tenant = fixture.tenant('acme', trx);
      await tenant.save('key', 'x');
      expect(await rejection(tenant.get('nothing'))).toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
      expect(await rejection(tenant.save('key', 'y', { ifAbsent: true }))).toMatchObject({
        code: 'ERR_SECRETS_ALREADY_EXISTS',
      });
      await tenant.save('key', 'z');
    });
    expect(await fixture.tenant('acme').get('key')).toMatchObject({ value: 'z', version: 2 });
  });

  if (engine.name === 'postgres') {
    it('may have a store of its own, every time, and no connection is left over', async () => {
      await fixture.store.migrate();
      await fixture.tenant('acme').save('key', 'x');
      const connections = async (): Promise<number> => {
        const { rows } = await fixture.knex.raw(
          'select count(*)::int as count from pg_stat_activity where datname = current_database()',
        );
        return rows[0].count;
      };
      const before = await connections();
      for (let index = 0; index < 20; index++) {
        await fixture.knex.transaction(async (trx) => {
          await fixture.reopen(fixture.root, { knex: trx }).tenant('acme', { actor: 'x' }).get('key');
        });
      }
      expect(await connections()).toBeLessThanOrEqual(before + 2);
    });

    it("keeps the host's hooks on its own connections: rows go where the host's go", async () => {
      await fixture.knex.raw('create schema app');
      const afterCreate = (
        connection: { query(sql: string, done: (error: unknown) => void): void },
        done: (error: unknown, connection: unknown) => void,
      ): void => connection.query('set search_path to app', (error) => done(error, connection));
      const knex = createKnex({ ...fixture.knexConfig, pool: { min: 0, max: 3, afterCreate } });
      try {
        const store = fixture.reopen(fixture.root, { knex });
        await store.migrate();
        await knex.transaction(async (trx) => {
          const tenant = store.tenant('acme', { actor: 'x', trx });
          expect(await rejection(tenant.get('nothing'))).toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
        });
        expect(await fixture.knex('app.secret_audit_log').where({ tenant_id: 'acme' })).toHaveLength(1);
        await store.close();
      } finally {
        await knex.destroy();
      }
    });

    it('is served after its store was closed', async () => {
      await fixture.store.migrate();
      await fixture.tenant('acme').save('key', 'x');
      for (let round = 0; round < 2; round++) {
        const get = fixture.knex.transaction((trx) => fixture.tenant('acme', trx).get('key'));
        expect((await get).value).toBe('x');
        await fixture.store.close();
        await fixture.store.close();
      }
    });

    it('that rolled back does not take the audit of its reads and refusals with it', async () => {
      await fixture.store.migrate();
      await fixture.tenant('acme').save('key', 'x');
      await rejection(
        fixture.knex.transaction(async (trx) => {
          const tenant = fixture.tenant('acme', trx);
          await tenant.get('key');
          await rejection(tenant.get('nothing'));
          await tenant.save('other', 'y');
          throw new Error('rolled back by the caller');
        }),
      );
      const rows = await auditRows(fixture.knex, 'acme');
      expect(rows.map(({ action, secret_name, outcome }) => `${action} ${secret_name} ${outcome}`).slice(2)).toEqual([
        'secret.get key success',
        'secret.get nothing refused',
      ]);
    });

    it('audits its reads through the pool that the host gave', async () => {
      await fixture.store.migrate();
      await fixture.tenant('acme').save('key', 'x');
      const auditKnex = createKnex(fixture.knexConfig);
      const queries: string[] = [];
      auditKnex.on('query', ({ sql }: { sql: string }) => queries.push(sql));
      const store = fixture.reopen(fixture.root, { auditKnex });
      await fixture.knex.transaction((trx) => store.tenant('acme', { actor: 'x', trx }).get('key'));
      expect(queries.filter((sql) => sql.includes('secret_audit_log'))).toHaveLength(1);
      await store.close();
      await auditKnex.raw('select 1'); // the host's to close
      await auditKnex.destroy();
    });

    it('that holds every connection of the pool does not stall its own audited reads', async () => {
      await fixture.store.migrate();
      await fixture.tenant('acme').save('key', 'x');
      const { max } = fixture.knex.client.pool;
      const reads = Array.from({ length: max }, () =>
        fixture.knex.transaction(async (trx) => {
          await trx.raw('select pg_sleep(0.1)');
          return (await fixture.tenant('acme', trx).get('key')).value;
        }),
      );
      expect(await Promise.all(reads)).toEqual(reads.map(() => 'x'));
    });
  }

  it('can be what the store is made on', async () => {
    await fixture.store.migrate();
    const failure = new Error('rolled back by the caller');
    const attempt = fixture.knex.transaction(async (trx) => {
      const store = fixture.reopen(fixture.root, { knex: trx });
      await store.tenant('acme', { actor: 'x' }).save('key', 'x');
      expect((await store.tenant('acme', { actor: 'x' }).get('key')).value).toBe('x');
      throw failure;
    });
    expect(await rejection(attempt)).toBe(failure);
    expect(await fixture.tenant('acme').exists('key')).toBe(false);
  });
});
