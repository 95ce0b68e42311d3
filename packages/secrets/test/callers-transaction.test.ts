import type { KeyWrapper } from '@keywright/envelope';
import { createSecretStore, migrateSecretStore, type TenantSecrets } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { Pool } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { auditRows, type Fixture, openFixture, rejection, wrapperOf } from './support.ts';

const ACTOR = { actor: 'tester' } as const;
const INVALID = { code: 'ERR_SECRETS_INVALID_ARGUMENT', name: 'SecretsError' } as const;

describeEachEngine("in a caller's transaction", (engine) => {
  let fixture: Fixture;
  let knex: Knex;

  beforeAll(async () => {
    fixture = await openFixture(engine);
  });
  beforeEach(async () => {
    fixture = await fixture.renew();
    knex = fixture.knex;
  });
  afterAll(async () => {
    await fixture?.close();
  });

  it('a change whose audit row cannot be written leaves nothing, though the caller goes on and commits', async () => {
    const changes: Record<string, (tenant: TenantSecrets) => Promise<unknown>> = {
      save: (tenant) => tenant.save('key', 'two'),
      update: (tenant) => tenant.update('key', { value: 'two' }),
      delete: (tenant) => tenant.delete('key'),
    };
    for (const tenantId of Object.keys(changes)) await fixture.tenant(tenantId).save('key', 'one');
    const refused = "action in ('secret.save', 'secret.update', 'secret.delete')";
    await knex.raw(
      engine.name === 'sqlite'
        ? `create trigger refuse before insert on secret_audit_log when new.${refused}
           begin select raise(abort, 'refused'); end`
        : `alter table secret_audit_log add constraint refuse check (not ${refused}) not valid`,
    );
    for (const [tenantId, change] of Object.entries(changes)) {
      await knex.transaction(async (trx) => {
        const tenant = fixture.tenant(tenantId, trx);
        expect(await rejection(change(tenant))).toMatchObject({ code: 'ERR_SECRETS_DATABASE' });
        expect((await tenant.get('key')).value).toBe('one');
      });
      expect((await fixture.tenant(tenantId).get('key')).value).toBe('one');
      expect((await fixture.tenant(tenantId).versions('key')).items).toHaveLength(1);
    }
    await knex.raw(
      engine.name === 'sqlite' ? 'drop trigger refuse' : 'alter table secret_audit_log drop constraint refuse',
    );
  });

  it('operations that are started together take turns', async () => {
    await knex.transaction(async (trx) => {
      const tenant = fixture.tenant('acme', trx);
      const saves = await Promise.all(['a', 'b', 'c', 'd'].map((value) => tenant.save('key', value)));
      expect(saves.map(({ version }) => version)).toEqual([1, 2, 3, 4]);
      const [, secret] = await Promise.all([tenant.save('key', 'e'), tenant.get('key'), tenant.list()]);
      expect(['d', 'e']).toContain(secret.value);
    });
    expect((await fixture.tenant('acme').get('key')).value).toBe('e');
  });

  it("a savepoint of the caller's may be open around a call that was given the transaction", async () => {
    await knex.transaction(async (trx) => {
      await trx.transaction(async () => {
        await fixture.tenant('acme', trx).save('key', 'x');
      });
      await rejection(
        trx.transaction(async (savepoint) => {
          await fixture.tenant('acme', savepoint).save('key', 'rolled back with the savepoint');
          throw new Error('rolled back by the caller');
        }),
      );
    });
    expect((await fixture.tenant('acme').get('key')).value).toBe('x');
  });

  it.each(['transaction', 'savepoint'])(
    'a key that is made in a %s is not remembered if it rolls back',
    async (kind) => {
      const unwrapKey = vi.fn<KeyWrapper['unwrapKey']>((wrapped, options) => fixture.root.unwrapKey(wrapped, options));
      const store = fixture.reopen(wrapperOf(fixture.root, { unwrapKey }));
      await store.ready();
      const rows: Record<string, readonly object[]> = {};
      const attempt = knex.transaction(async (trx) => {
        const save = (in_: Knex.Transaction): Promise<unknown> =>
          store.tenant('acme', { ...ACTOR, trx: in_ }).save('key', 'x');
        if (kind === 'savepoint') await trx.transaction(save);
        else await save(trx);
        unwrapKey.mockClear();
        expect((await store.tenant('acme', { ...ACTOR, trx }).get('key')).value).toBe('x');
        expect(unwrapKey).not.toHaveBeenCalled();
        for (const table of ['secret_tenant_keys', 'secrets', 'secret_versions']) {
          rows[table] = await trx(table).where({ tenant_id: 'acme' });
        }
        throw new Error('rolled back by the caller');
      });
      expect((await rejection(attempt)).message).toBe('rolled back by the caller');
      for (const [table, kept] of Object.entries(rows)) {
        const metadata = table === 'secrets' ? { metadata: '{}' } : {};
        for (const row of kept) await knex(table).insert({ ...row, ...metadata });
      }
      expect((await store.tenant('acme', ACTOR).get('key')).value).toBe('x');
      expect(unwrapKey).toHaveBeenCalledTimes(1);
    },
  );

  it('what is given as one must be one', async () => {
    const hostile = new Proxy(() => undefined, {
      get: () => {
        throw new Error('no');
      },
    });
    await knex.transaction(async (trx) => {
      for (const given of [knex, {}, 7, null, Promise.resolve(trx), () => undefined, hostile] as never[]) {
        expect(() => fixture.tenant('acme', given)).toThrowError(expect.objectContaining(INVALID));
        expect(await rejection(migrateSecretStore({ knex, trx: given }))).toMatchObject(INVALID);
        expect(await rejection(fixture.store.migrate({ trx: given }))).toMatchObject(INVALID);
      }
    });
  });

  it('nothing is done in one that has ended, or that is of another database', async () => {
    const ended = await knex.transaction(async (trx) => ({ trx, tenant: fixture.tenant('acme', trx) }));
    expect(() => fixture.tenant('acme', ended.trx)).toThrowError(expect.objectContaining(INVALID));
    expect(await rejection(ended.tenant.save('key', 'x'))).toMatchObject({ ...INVALID, context: { argument: 'trx' } });
    expect(await rejection(ended.tenant.get('key'))).toMatchObject(INVALID);
    const other = await openFixture(engine);
    try {
      await other.knex.transaction(async (trx) => {
        expect(() => fixture.tenant('acme', trx)).toThrowError(expect.objectContaining(INVALID));
      });
    } finally {
      await other.close();
    }
    expect(await auditRows(knex, 'acme')).toEqual([]);
  });

  if (engine.name === 'sqlite') return;

  it('of another knex instance on the same database it works as well', async () => {
    const twin = createKnex({ ...fixture.knexConfig });
    try {
      await twin.transaction((trx) => fixture.tenant('acme', trx).save('key', 'x'));
      expect((await fixture.tenant('acme').get('key')).value).toBe('x');
    } finally {
      await twin.destroy();
    }
  });

  it('the audit pool is not closed under a store that was made on the transaction', async () => {
    await fixture.tenant('acme').save('key', 'x');
    const opener = fixture.reopen(fixture.root);
    await knex.transaction((trx) => opener.tenant('acme', { ...ACTOR, trx }).get('key'));
    const closing: Promise<void>[] = [];
    const verifyCheckValue: KeyWrapper['verifyCheckValue'] = async (kid, value) => {
      closing.push(opener.close()); // the other is on the pool, between two statements
      await new Promise((resolve) => setTimeout(resolve, 50));
      return await fixture.root.verifyCheckValue(kid, value);
    };
    const root = wrapperOf(fixture.root, { verifyCheckValue });
    const get = knex.transaction((trx) => fixture.reopen(root, { knex: trx }).tenant('acme', ACTOR).get('key'));
    expect((await get).value).toBe('x');
    expect(closing.length).toBeGreaterThan(0);
    await Promise.all(closing);
  });

  describe('audit rows go through auditKnex, which', () => {
    let other: Fixture;

    beforeEach(async () => {
      other = await openFixture(engine);
    });
    afterEach(async () => {
      await other?.close();
    });

    it('must be a knex instance with a pool of its own', async () => {
      await knex.transaction(async (trx) => {
        const sqlite = createKnex({ client: 'better-sqlite3', connection: ':memory:', useNullAsDefault: true });
        for (const auditKnex of [knex, knex.withUserParams({ a: 1 }), trx, {}, () => undefined, null, sqlite]) {
          const open = (): unknown => createSecretStore({ knex, root: fixture.root, auditKnex: auditKnex as never });
          expect(open).toThrowError(expect.objectContaining(INVALID));
        }
      });
    });

    it.each(['used before', 'never used', 'not migrated'])(
      'must be on the same database: not one %s',
      async (state) => {
        if (state === 'used before') await other.tenant('acme').save('key', 'x');
        if (state === 'not migrated') await other.knex.raw('drop schema public cascade; create schema public');
        const expected = { ...INVALID, context: { argument: 'auditKnex' } };
        const store = fixture.reopen(fixture.root, { auditKnex: other.knex });
        expect(await rejection(store.ready())).toMatchObject(expected);
        expect(await rejection(store.tenant('acme', ACTOR).save('key', 'x'))).toMatchObject(expected);
        expect(await auditRows(knex, 'acme')).toEqual([]);
      },
    );

    it('must be on the same database: it is noticed in a transaction too', async () => {
      await other.tenant('acme').save('key', 'x');
      await fixture.store.ready();
      const before = await auditRows(other.knex, 'acme');
      const store = fixture.reopen(other.root, { auditKnex: other.knex });
      const attempt = knex.transaction((trx) => store.tenant('acme', { ...ACTOR, trx }).get('key'));
      expect(await rejection(attempt)).toMatchObject(INVALID);
      expect(await auditRows(other.knex, 'acme')).toEqual(before);
    });

    it("is demanded where the host's connections come from a pool of the driver's", async () => {
      const pool = new Pool({ connectionString: fixture.url });
      const host = createKnex({ client: 'pg', connectionPool: pool } as Knex.Config);
      try {
        expect(() => fixture.reopen(fixture.root, { knex: host })).toThrowError(
          expect.objectContaining({ ...INVALID, context: expect.objectContaining({ argument: 'auditKnex' }) }),
        );
        await migrateSecretStore({ knex: host });
        const auditKnex = createKnex(fixture.knexConfig);
        const store = fixture.reopen(fixture.root, { knex: host, auditKnex });
        await store.tenant('acme', ACTOR).save('key', 'x');
        await host.transaction((trx) => store.tenant('acme', { ...ACTOR, trx }).get('key'));
        await auditKnex.destroy();
      } finally {
        await host.destroy();
        await pool.end();
      }
    });
  });
});
