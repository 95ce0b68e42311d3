import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { createSecretStore, type Secret, type SecretStore, type SecretStoreOptions } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { ReadCache } from '../../src/cache/read-cache.ts';
import { auditRows, type Fixture, openFixture, rejection } from '../support.ts';
import { queriesDuring } from './support.ts';

const POLL_MS = 20;

describeEachEngine('the read cache', (engine) => {
  let fixture: Fixture;
  let knex: Knex;
  let store: SecretStore;
  let tenantId: string;
  const others: SecretStore[] = [];

  /** A store with a cache, on a pool of its own, as another process would have it. */
  function cachedStore(on: Knex, options: Partial<SecretStoreOptions> = {}): SecretStore {
    const readCache = { maxSecrets: 10, maxAgeMs: 60_000, pollMs: POLL_MS };
    const opened = createSecretStore({ knex: on, root: fixture.root, changeFeed: true, readCache, ...options });
    others.push(opened);
    return opened;
  }

  beforeAll(async () => {
    fixture = await openFixture(engine, { changeFeed: true });
    // Of two connections of SQLite in one thread, the one that waits for the other keeps it from going on.
    knex = engine.dialect === 'sqlite' ? fixture.knex : createKnex(fixture.knexConfig);
  });
  afterAll(async () => {
    if (knex !== fixture?.knex) await knex?.destroy();
    await fixture?.close();
  });
  beforeEach(async () => {
    tenantId = randomUUID();
    await fixture.tenant(tenantId).save('key', 'one', { metadata: { env: 'live' } });
    store = cachedStore(knex);
  });
  afterEach(async () => {
    await Promise.all(others.splice(0).map((each) => each.close()));
  });

  const get = async (name = 'key', from = store): Promise<unknown> =>
    (await from.tenant(tenantId, { actor: 'cached' }).get(name)).value;

  /** Statements that a get sends, besides the polls of the feed. */
  async function statementsOf(name = 'key', on = knex, from = store): Promise<readonly string[]> {
    const queries = await queriesDuring(on, () => get(name, from));
    return queries.filter((sql) => !/secret_changes|secret_leases|BEGIN|COMMIT/i.test(sql));
  }

  async function isCached(name = 'key'): Promise<boolean> {
    const statements = await statementsOf(name);
    return !statements.some((sql) => sql.includes('secret_versions'));
  }

  async function warmed(name = 'key'): Promise<void> {
    for (const deadline = Date.now() + 10_000; Date.now() < deadline; await sleep(POLL_MS)) {
      if (await isCached(name)) return;
    }
    throw new Error('never cached');
  }

  it('answers without asking for the secret, and writes the audit row before it does', async () => {
    await warmed();
    const before = (await auditRows(knex, tenantId)).filter(({ action }) => action === 'secret.get').length;
    const statements = await statementsOf();
    expect(statements.every((sql) => sql.includes('secret_audit_log'))).toBe(true);
    const rows = (await auditRows(knex, tenantId)).filter(({ action }) => action === 'secret.get');
    expect(rows).toHaveLength(before + 1);
    expect(rows.at(-1)).toMatchObject({ actor: 'cached', secret_name: 'key', version: 1, outcome: 'success' });
    const page = await fixture.tenant(tenantId).auditLog({ limit: 10 });
    expect(page.items.every(({ authentic }) => authentic)).toBe(true);
  });

  it('writes no audit row of it where reads are unaudited', async () => {
    const silent = cachedStore(knex, { audit: { reads: 'unaudited' } });
    for (const deadline = Date.now() + 10_000; Date.now() < deadline; await sleep(POLL_MS)) {
      if ((await statementsOf('key', knex, silent)).length === 0) return;
    }
    throw new Error('never silent');
  });

  it('hands nothing out where the audit row cannot be written', async () => {
    await warmed();
    await fixture.knex.schema.renameTable('secret_audit_log', 'moved_away');
    expect((await rejection(get())).code).toBe('ERR_SECRETS_NOT_MIGRATED');
    await fixture.knex.schema.renameTable('moved_away', 'secret_audit_log');
    expect(await get()).toBe('one');
  });

  it('gives every caller a value of its own', async () => {
    await fixture.tenant(tenantId).save('bytes', new Uint8Array([1, 2, 3]));
    await fixture.tenant(tenantId).save('json', { list: [1] });
    await Promise.all([warmed('bytes'), warmed('json')]);
    const tenant = store.tenant(tenantId, { actor: 'x' });
    const bytes = await tenant.get('bytes');
    (bytes.value as Uint8Array).fill(0);
    bytes.updatedAt.setTime(0);
    const json = await tenant.get('json');
    (json.value as { list: number[] }).list.push(2);
    (json.metadata as Record<string, unknown>).planted = true;
    expect((await tenant.get('bytes')).value).toEqual(new Uint8Array([1, 2, 3]));
    expect((await tenant.get('bytes')).updatedAt.getTime()).not.toBe(0);
    expect((await tenant.get('json')).value).toEqual({ list: [1] });
    expect((await tenant.get('json')).metadata).toEqual({});
  });

  it('answers as a read does', async () => {
    const read = await store.tenant(tenantId, { actor: 'x' }).get('key');
    await warmed();
    const cached = await store.tenant(tenantId, { actor: 'x' }).get('key');
    expect(cached).toEqual(read);
    expect(Object.keys(cached)).toEqual(Object.keys(read));
    expect([cached.value, cached.type, JSON.stringify(cached)]).toEqual([read.value, read.type, JSON.stringify(read)]);
  });

  it('shows a change of its own at once, of a transaction when it commits', async () => {
    await warmed();
    await store.tenant(tenantId, { actor: 'x' }).save('key', 'two');
    expect(await get()).toBe('two');
    await warmed();
    const trx = await knex.transaction();
    await store.tenant(tenantId, { actor: 'x', trx }).save('key', 'three');
    if (engine.dialect === 'postgres') expect(await get()).toBe('two');
    await trx.commit();
    expect(await get()).toBe('three');
    await warmed();
    await store.tenant(tenantId, { actor: 'x' }).rename('key', 'other');
    expect((await rejection(get())).code).toBe('ERR_SECRETS_NOT_FOUND');
    expect(await get('other')).toBe('three');
    await warmed('other');
    await store.tenant(tenantId, { actor: 'x' }).delete('other');
    expect((await rejection(get('other'))).code).toBe('ERR_SECRETS_NOT_FOUND');
  });

  it('shows a change of another process a poll later at the latest', async () => {
    await warmed();
    for (let round = 0; round < 5; round++) {
      await fixture.tenant(tenantId).save('key', `round ${round}`);
      const saved = Date.now();
      while ((await get()) !== `round ${round}`) {
        if (Date.now() - saved > 2 * POLL_MS + 1_000) throw new Error('stale for too long');
        await sleep(1); // SQLite answers without letting a timer run
      }
      await warmed();
    }
    await fixture.tenant(tenantId).delete('key');
    await sleep(POLL_MS * 5);
    expect((await rejection(get())).code).toBe('ERR_SECRETS_NOT_FOUND');
  });

  it('never goes back to an older value, whatever is read and written at once', async () => {
    await warmed();
    const until = Date.now() + 700;
    let saved = 0;
    const writer = (async () => {
      for (; Date.now() < until; saved++) await fixture.tenant(tenantId).save('key', saved);
    })();
    const reader = async (): Promise<void> => {
      for (let last = -1; Date.now() < until; ) {
        const value = await get();
        await nextTurn();
        if (typeof value !== 'number') continue;
        expect(value).toBeGreaterThanOrEqual(last);
        last = value;
      }
    };
    await Promise.all([writer, reader()]);
    await sleep(POLL_MS * 5);
    expect(await get()).toBe(saved - 1);
  });

  it('does not put back what a read that was overtaken by another has seen', async () => {
    const never = new AbortController().signal;
    const feed = {
      onOwnChange: () => undefined,
      async *followAll() {
        yield { page: { changes: [], next: undefined, more: false, lost: false }, askedAt: performance.now() };
        await new Promise((resolve) => never.addEventListener('abort', resolve));
      },
    };
    const options = { maxSecrets: 10, maxAgeMs: 60_000, maxBytes: 1_000, pollMs: 60_000 };
    const cache = new ReadCache(feed as never, options, undefined, undefined);
    cache.find(tenantId, 'key'); // begins to listen
    await sleep(1);
    const slow = Promise.withResolvers<Secret>();
    const first = await fixture.tenant(tenantId).get('key');
    const overtaken = cache.filling(tenantId, 'key', () => slow.promise);
    await fixture.tenant(tenantId).save('key', 'two'); // as another process does, before the next poll
    await cache.filling(tenantId, 'key', () => fixture.tenant(tenantId).get('key'));
    slow.resolve(first);
    expect((await overtaken).value).toBe('one');
    expect(cache.find(tenantId, 'key')?.value).toBe('two');
    cache.close();
  });

  it('does not serve inside a transaction, a version that is asked for, or another tenant', async () => {
    await warmed();
    await knex('secret_versions')
      .where({ tenant_id: tenantId })
      .update({ ciphertext: Buffer.from('tampered') });
    expect(await get()).toBe('one'); // from memory
    await knex.transaction(async (trx) => {
      const error = await rejection(store.tenant(tenantId, { actor: 'x', trx }).get('key'));
      expect(error.code).toBe('ERR_SECRETS_INTEGRITY');
    });
    const tenant = store.tenant(tenantId, { actor: 'x' });
    expect((await rejection(tenant.get('key', { version: 1 }))).code).toBe('ERR_SECRETS_INTEGRITY');
    expect((await rejection(store.tenant('u', { actor: 'x' }).get('key'))).code).toBe('ERR_SECRETS_NOT_FOUND');
  });

  it('forgets what is older than maxAgeMs', async () => {
    const short = cachedStore(knex, { readCache: { maxSecrets: 10, maxAgeMs: 300, pollMs: POLL_MS } });
    for (const deadline = Date.now() + 10_000; Date.now() < deadline; await sleep(POLL_MS)) {
      if ((await statementsOf('key', knex, short)).every((sql) => !sql.includes('secret_versions'))) break;
    }
    // a change that nobody announces
    await knex('secret_versions')
      .where({ tenant_id: tenantId })
      .update({ ciphertext: Buffer.from('tampered') });
    await sleep(350);
    expect((await rejection(get('key', short))).code).toBe('ERR_SECRETS_INTEGRITY');
  });

  it('forgets a secret when it expires', async () => {
    await fixture.tenant(tenantId).save('brief', 'x', { expiresAt: new Date(Date.now() + 700) });
    await warmed('brief');
    await sleep(750);
    expect((await rejection(get('brief'))).code).toBe('ERR_SECRETS_EXPIRED');
  });

  it('forgets a tenant whose keys are destroyed', async () => {
    await warmed();
    await store.shredTenant(tenantId, { actor: 'x', confirm: tenantId, backupHorizonDays: 30 });
    expect((await rejection(get())).code).toBe('ERR_SECRETS_KEY_UNAVAILABLE');
  });

  it('keeps no more secrets than it may, those that are read most recently', async () => {
    for (let each = 0; each < 12; each++) await fixture.tenant(tenantId).save(`n${each}`, 'x');
    await warmed();
    for (let each = 0; each < 12; each++) {
      await get(`n${each}`);
      await get();
    }
    expect(await isCached('key')).toBe(true);
    expect(await isCached('n11')).toBe(true);
    expect(await isCached('n0')).toBe(false);
  });

  it('keeps no more bytes than it may', async () => {
    const small = cachedStore(knex, {
      readCache: { maxSecrets: 10, maxAgeMs: 60_000, maxBytes: 1_000, pollMs: POLL_MS },
    });
    await fixture.tenant(tenantId).save('large', 'x'.repeat(2_000));
    for (let each = 0; each < 10; each++) {
      await get('large', small);
      await sleep(POLL_MS);
    }
    expect((await statementsOf('large', knex, small)).some((sql) => sql.includes('secret_versions'))).toBe(true);
  });

  it('serves nothing while it does not hear of changes', async () => {
    await warmed();
    await fixture.knex.schema.renameTable('secret_changes', 'changes_away');
    await sleep(POLL_MS * 10);
    expect(await isCached()).toBe(false);
    await fixture.knex.schema.renameTable('changes_away', 'secret_changes');
  });

  it('says that it needs the feed', () => {
    const readCache = { maxSecrets: 1, maxAgeMs: 1 };
    const refused = expect.objectContaining({ code: 'ERR_SECRETS_INVALID_ARGUMENT' });
    expect(() => createSecretStore({ knex, root: fixture.root, readCache })).toThrow(refused);
    for (const wrong of [{}, { maxSecrets: 0, maxAgeMs: 1 }, { maxSecrets: 1 }, { ...readCache, pollMs: 1 }, null, 7]) {
      const options = { knex, root: fixture.root, changeFeed: true, readCache: wrong as never };
      expect(() => createSecretStore(options)).toThrow(refused);
    }
  });
});
