import type { SecretStore } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex from 'knex';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Fixture, openFixture, rejection } from '../support.ts';
import { audited, statementsOf } from './support.ts';

describeEachEngine('gets that wait at the same time', (engine) => {
  let fixture: Fixture;

  beforeAll(async () => {
    fixture = await openFixture(engine);
  });
  beforeEach(async () => {
    fixture = await fixture.renew();
  });
  afterAll(async () => {
    await fixture?.close();
  });

  const names = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `key ${index}`);

  async function saved(tenantId: string, all: readonly string[]): Promise<void> {
    for (const name of all) await fixture.tenant(tenantId).save(name, `${tenantId}/${name}`);
  }

  it('return each what was asked for, in any order and twice, with one audit row each', async () => {
    const all = names(20);
    await saved('acme', all);
    await fixture.tenant('acme').save('key 3', 'newer');
    const asked = [...all.toReversed(), 'key 7', 'key 7'];
    const tenant = fixture.tenant('acme');
    const secrets = await Promise.all(asked.map((name) => tenant.get(name, name === 'key 3' ? { version: 1 } : {})));
    expect(secrets.map(({ name, value }) => [name, value])).toEqual(asked.map((name) => [name, `acme/${name}`]));
    expect(await audited(fixture.knex, 'acme')).toEqual({ success: asked.length });
  });

  it('of two tenants stay apart', async () => {
    await saved('acme', ['key', 'only of acme']);
    await saved('globex', ['key']);
    const [a, b, foreign] = await Promise.all([
      fixture.tenant('acme').get('key'),
      fixture.tenant('globex').get('key'),
      rejection(fixture.tenant('globex').get('only of acme')),
    ]);
    expect([a.value, b.value]).toEqual(['acme/key', 'globex/key']);
    expect(foreign).toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
    const byId = await rejection(fixture.tenant('globex').getById(a.id));
    expect(byId).toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
    expect(await audited(fixture.knex, 'acme')).toEqual({ success: 1 });
    expect(await audited(fixture.knex, 'globex')).toEqual({ success: 1, ERR_SECRETS_NOT_FOUND: 2 });
  });

  it('do not fail for a neighbour that is missing, expired, tampered with, destroyed or aborted', async () => {
    const tenant = fixture.tenant('acme');
    await saved('acme', ['good', 'tampered', 'moved', 'destroyed', 'better']);
    await tenant.save('expired', 'x', { expiresAt: new Date(Date.now() + 50) });
    await tenant.save('destroyed', 'second');
    await tenant.destroy('destroyed', [1]);
    const ids: Record<string, string> = {};
    for (const { id, name } of (await tenant.list()).items) ids[name] = id;
    await fixture
      .knex('secret_versions')
      .where({ secret_id: ids.tampered })
      .update({ ciphertext: Buffer.alloc(99, 7) });
    await fixture
      .knex('secrets')
      .where({ id: ids.moved })
      .update({ expires_at: new Date('2099-01-01') });
    await new Promise((resolve) => setTimeout(resolve, 60));
    const abort = new AbortController();
    const results = Promise.allSettled([
      tenant.get('good'),
      tenant.get('missing'),
      tenant.get('expired'),
      tenant.get('tampered'),
      tenant.get('moved'),
      tenant.get('destroyed', { version: 1 }),
      tenant.get('good', { version: 9 }),
      tenant.get('good', { signal: abort.signal }),
      tenant.get('better'),
    ]);
    abort.abort();
    const seen = (await results).map((result) =>
      result.status === 'fulfilled' ? result.value.value : (result.reason as { code: string }).code,
    );
    expect(seen).toEqual([
      'acme/good',
      'ERR_SECRETS_NOT_FOUND',
      'ERR_SECRETS_EXPIRED',
      'ERR_SECRETS_INTEGRITY',
      'ERR_SECRETS_INTEGRITY',
      'ERR_SECRETS_VERSION_DESTROYED',
      'ERR_SECRETS_NOT_FOUND',
      'ERR_SECRETS_ABORTED',
      'acme/better',
    ]);
    const counts = await audited(fixture.knex, 'acme');
    expect(counts).toMatchObject({
      ERR_SECRETS_NOT_FOUND: 2,
      ERR_SECRETS_EXPIRED: 1,
      ERR_SECRETS_INTEGRITY: 2,
      ERR_SECRETS_VERSION_DESTROYED: 1,
    });
    // Of the two that were tampered with, PostgreSQL has read the ciphertext before it was found out.
    expect(counts.success).toBe(engine.name === 'postgres' ? 4 : 2);
  });

  it('are not begun for a signal that was aborted before', async () => {
    await saved('acme', ['key']);
    const signal = AbortSignal.abort();
    expect(await rejection(fixture.tenant('acme').get('key', { signal }))).toMatchObject({
      code: 'ERR_SECRETS_ABORTED',
    });
    expect(await audited(fixture.knex, 'acme')).toEqual({});
  });

  it('survive a neighbour whose statement the database refuses', async () => {
    await saved('acme', ['good', 'poison', 'better']);
    const refused = "action = 'secret.get' and secret_name = 'poison'";
    await fixture.knex.raw(
      engine.name === 'sqlite'
        ? `create trigger refuse before insert on secret_audit_log when new.action = 'secret.get'
           and new.secret_name = 'poison' begin select raise(abort, 'refused'); end`
        : `alter table secret_audit_log add constraint refuse check (not (${refused})) not valid`,
    );
    try {
      const tenant = fixture.tenant('acme');
      const results = await Promise.allSettled(['good', 'poison', 'better'].map((name) => tenant.get(name)));
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect((results[1] as PromiseRejectedResult).reason).toMatchObject({ code: 'ERR_SECRETS_DATABASE' });
      expect(await audited(fixture.knex, 'acme')).toEqual({ success: 2 });
    } finally {
      const drop =
        engine.name === 'sqlite' ? 'drop trigger refuse' : 'alter table secret_audit_log drop constraint refuse';
      await fixture.knex.raw(drop);
    }
  });

  if (engine.name === 'sqlite') return;

  it('share statements, and a lone one has its own', async () => {
    await saved('acme', names(10));
    await fixture.tenant('acme').get('key 0');
    const tenants = Array.from({ length: 8 }, () => fixture.tenant('acme'));
    const count = async (gets: number): Promise<number> => {
      const asked = Array.from({ length: gets }, (_, index) => tenants[index % 8]?.get(`key ${index % 10}`));
      return (await statementsOf(fixture.knex, () => Promise.all(asked))).length;
    };
    expect(await count(1)).toBe(1);
    expect(await count(16)).toBe(1);
    expect(await count(64)).toBe(2);
    expect(await count(128)).toBe(2);
    expect(await count(200)).toBe(4);
    expect(await audited(fixture.knex, 'acme')).toEqual({ success: 1 + 1 + 16 + 64 + 128 + 200 });
  });

  it('are at most two statements at a time', async () => {
    await saved('acme', names(4));
    const open = new Set<string>();
    let most = 0;
    const started = ({ __knexQueryUid }: { readonly __knexQueryUid: string }): void => {
      open.add(__knexQueryUid);
      most = Math.max(most, open.size);
    };
    const ended = (_: unknown, { __knexQueryUid }: { readonly __knexQueryUid: string }): void => {
      open.delete(__knexQueryUid);
    };
    fixture.knex.on('query', started).on('query-response', ended);
    try {
      const tenant = fixture.tenant('acme');
      await Promise.all(Array.from({ length: 500 }, (_, index) => tenant.get(`key ${index % 4}`)));
    } finally {
      fixture.knex.removeListener('query', started).removeListener('query-response', ended);
    }
    expect(most).toBe(2);
  });

  it('all fail, retryable, when the connection is lost, and nobody is read twice', async () => {
    await saved('acme', names(5));
    const host = createKnex({ ...fixture.knexConfig, pool: { min: 0, max: 1 } });
    try {
      const tenant = fixture.reopen(fixture.root, { knex: host }).tenant('acme', { actor: 'x' });
      await tenant.get('key 0');
      await fixture.knex.transaction(async (trx) => {
        await trx.raw('lock table secret_audit_log in exclusive mode');
        const gets = Promise.allSettled(names(5).map((name) => tenant.get(name)));
        await expect
          .poll(async () => {
            const { rows } = await fixture.knex.raw(
              "select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
            );
            return (rows as unknown[]).length;
          })
          .toBe(1);
        for (const result of await gets) {
          expect(result).toMatchObject({
            status: 'rejected',
            reason: { code: 'ERR_SECRETS_DATABASE', retryable: true },
          });
        }
      });
      expect(await audited(fixture.knex, 'acme')).toEqual({ success: 1 });
      // The pool may hand out the connection that was lost once more.
      await expect
        .poll(() =>
          tenant.get('key 1').then(
            ({ value }) => value,
            () => 'lost',
          ),
        )
        .toBe('acme/key 1');
    } finally {
      await host.destroy();
    }
  });

  let other: SecretStore | undefined;
  afterEach(async () => {
    await other?.close();
  });

  it('are read again without a name when a pooler has lost the prepared statement', async () => {
    await saved('acme', ['key']);
    const host = createKnex({ ...fixture.knexConfig, pool: { min: 0, max: 1 } });
    try {
      other = fixture.reopen(fixture.root, { knex: host });
      const tenant = other.tenant('acme', { actor: 'x' });
      await tenant.get('key');
      await host.raw('deallocate all');
      expect((await tenant.get('key')).value).toBe('acme/key');
      expect(await audited(fixture.knex, 'acme')).toEqual({ success: 2 });
    } finally {
      await host.destroy();
    }
  });
});
