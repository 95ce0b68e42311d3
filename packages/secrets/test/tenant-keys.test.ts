import { createKeyring, generateKeyBase64, type KeyWrapper } from '@keywright/envelope';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { makeBinding } from '../src/binding.ts';
import { contexts } from '../src/contexts.ts';
import { TenantKeys } from '../src/keys/tenant-keys.ts';
import { createTables } from '../src/tables.ts';
import { auditRows, type Fixture, openFixture, rejection, wrapperOf } from './support.ts';

const ACTOR = { actor: 'tester' } as const;

describeEachEngine('tenant keys', (engine) => {
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

  const wrapper = (change: Partial<KeyWrapper> = {}): KeyWrapper => wrapperOf(fixture.root, change);

  /** Makes a tenant a new key to write with; the one it had only reads from now on. */
  async function changeKey(tenantId: string): Promise<void> {
    const options = { maxKeys: 1, ttlMs: 1, rootTimeoutMs: 1_000 };
    const tenantKeys = new TenantKeys(fixture.root, createTables(undefined), options);
    const prepared = await tenantKeys.prepare(knex, tenantId);
    await knex.transaction(async (trx) => {
      await trx('secret_tenant_keys').where({ tenant_id: tenantId }).update({ status: 'decrypt-only' });
      await tenantKeys.insert(trx, prepared);
    });
  }

  it('change hands: an older one reads, only the active one writes', async () => {
    const tenant = fixture.tenant('acme');
    await tenant.save('key', 'one');
    await tenant.save('untouched', 'x');
    await changeKey('acme');
    await tenant.save('key', 'two');
    await tenant.save('new', 'y');
    const keks = await knex('secret_tenant_keys').where({ tenant_id: 'acme' }).select('kek_id', 'status');
    const active = keks.find(({ status }) => status === 'active')?.kek_id;
    expect(keks).toHaveLength(2);
    const written = await knex('secret_versions').where({ tenant_id: 'acme', kek_id: active }).select('version');
    expect(written).toHaveLength(2);
    for (const store of [fixture.store, fixture.reopen(fixture.root)]) {
      const reader = store.tenant('acme', ACTOR);
      expect((await reader.get('key', { version: 1 })).value).toBe('one');
      expect((await reader.get('key')).value).toBe('two');
      expect((await reader.get('untouched')).value).toBe('x');
      expect((await reader.list()).items).toHaveLength(3);
    }
    await tenant.update('untouched', { value: 'again' });
    await tenant.delete('untouched');
  });

  it("keep tenants apart even if one tenant's rows, ids and all, stand under another's name", async () => {
    const acme = fixture.tenant('acme');
    await acme.save('key', 'one');
    await acme.save('key', 'two');
    for (const table of ['secret_tenant_keys', 'secrets', 'secret_versions']) {
      const rows = await knex(table).where({ tenant_id: 'acme' });
      // jsonb arrives parsed and has to go back as text
      for (const row of rows) {
        const metadata = 'metadata' in row ? { metadata: JSON.stringify(row.metadata ?? {}) } : {};
        await knex(table).insert({ ...row, ...metadata, tenant_id: 'globex' });
      }
    }
    await knex('secret_versions').where({ tenant_id: 'globex', version: 1 }).delete();
    const before = await knex('secrets').where({ tenant_id: 'globex' }).first();
    for (const store of [fixture.store, fixture.reopen(fixture.root)]) {
      const globex = store.tenant('globex', ACTOR);
      expect(await rejection(globex.get('key'))).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY' });
      expect(await rejection(globex.list())).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY' });
      expect((await store.tenant('acme', ACTOR).get('key')).value).toBe('two');
      expect((await store.tenant('acme', ACTOR).get('key', { version: 1 })).value).toBe('one');
    }
    expect((await acme.versions('key')).items).toHaveLength(2);
    await acme.save('key', 'three');
    await acme.delete('key');
    expect(await knex('secrets').where({ tenant_id: 'globex' }).first()).toEqual(before);
  });

  it('are not stored if what was wrapped does not come back', async () => {
    const other = new Uint8Array(32).fill(3);
    const broken = fixture.reopen(wrapper({ wrapKey: (_key, options) => fixture.root.wrapKey(other, options) }));
    await fixture.store.ready();
    const error = await rejection(broken.tenant('acme', ACTOR).save('key', 'x'));
    expect(error).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY' });
    expect(await knex('secret_tenant_keys').where({ tenant_id: 'acme' })).toEqual([]);
  });

  it.each(['disabled', 'destroyed', 'decrypt-only'])('that are %s are not replaced by a save', async (status) => {
    const tenant = fixture.tenant('acme');
    await tenant.save('key', 'x');
    await knex('secret_tenant_keys').where({ tenant_id: 'acme' }).update({ status });
    for (const store of [fixture.store, fixture.reopen(fixture.root)]) {
      const writer = store.tenant('acme', ACTOR);
      for (const attempt of [
        () => writer.save('key', 'y'),
        () => writer.save('new', 'y'),
        () => writer.update('key', { value: 'y' }),
        () => writer.delete('key'),
        () => knex.transaction((trx) => store.tenant('acme', { ...ACTOR, trx }).save('new', 'y')),
      ]) {
        expect(await rejection(attempt())).toMatchObject({ code: 'ERR_SECRETS_KEY_UNAVAILABLE' });
        expect((await auditRows(knex, 'acme')).at(-1)).toMatchObject({ outcome: 'refused' });
      }
    }
    expect(await knex('secret_tenant_keys').where({ tenant_id: 'acme' })).toHaveLength(1);
  });

  it('that were destroyed are refused although what was wrapped is still there', async () => {
    await fixture.tenant('acme').save('key', 'x');
    await knex('secret_tenant_keys').where({ tenant_id: 'acme' }).update({ status: 'destroyed' });
    for (const store of [fixture.store, fixture.reopen(fixture.root)]) {
      expect(await rejection(store.tenant('acme', ACTOR).get('key'))).toMatchObject({
        code: 'ERR_SECRETS_KEY_UNAVAILABLE',
        context: { state: 'destroyed' },
      });
    }
  });

  it('are made by a save only: nothing else leaves one for a tenant that has nothing', async () => {
    const tenant = fixture.tenant('nobody');
    for (const attempt of [
      () => tenant.update('key', { value: 'x' }),
      () => tenant.delete('key'),
      () => tenant.get('key'),
      () => tenant.versions('key'),
      () => knex.transaction((trx) => fixture.tenant('nobody', trx).delete('key')),
    ]) {
      expect(await rejection(attempt())).toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
    }
    expect(await knex('secret_tenant_keys').where({ tenant_id: 'nobody' })).toEqual([]);
  });

  it.each([
    ['removed', 'ERR_SECRETS_INTEGRITY'],
    ['disabled', 'ERR_SECRETS_KEY_UNAVAILABLE'],
  ])("that are the store's own and were %s are not replaced: the log would look forged", async (how, code) => {
    await fixture.tenant('acme').save('key', 'x');
    const own = knex('secret_tenant_keys').where({ tenant_id: '$system' });
    await (how === 'removed' ? own.delete() : own.update({ status: 'disabled' }));
    const before = await auditRows(knex, '$system');
    const store = fixture.reopen(fixture.root);
    expect(await rejection(store.ready())).toMatchObject({ code, context: { tenantId: '$system' } });
    expect(await rejection(store.tenant('acme', ACTOR).get('key'))).toMatchObject({ code });
    expect(await auditRows(knex, '$system')).toEqual(before);
  });

  it('stay in memory for a while, and not after close()', async () => {
    await fixture.tenant('acme').save('key', 'x');
    const unwrapKey = vi.fn<KeyWrapper['unwrapKey']>((wrapped, options) => fixture.root.unwrapKey(wrapped, options));
    const store = fixture.reopen(wrapper({ unwrapKey }), { cachedKeyTtlMs: 100 });
    const tenant = store.tenant('acme', ACTOR);
    const asked = async (): Promise<number> => {
      unwrapKey.mockClear();
      await tenant.get('key');
      return unwrapKey.mock.calls.length;
    };
    await store.ready();
    expect(await asked()).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(await asked()).toBe(1);
    const lasting = fixture.reopen(wrapper({ unwrapKey }));
    await lasting.tenant('acme', ACTOR).get('key');
    unwrapKey.mockClear();
    await lasting.tenant('acme', ACTOR).get('key');
    expect(unwrapKey).not.toHaveBeenCalled();
    await lasting.close();
    await lasting.tenant('acme', ACTOR).get('key');
    expect(unwrapKey).toHaveBeenCalledTimes(1);
  });

  it('are refused with the root key named that they are under, where it is not at hand', async () => {
    await fixture.tenant('acme').save('key', 'x');
    const old = await knex('secret_tenant_keys').where({ tenant_id: 'acme' }).first();
    const v2 = generateKeyBase64();
    fixture.root.add('v2', v2);
    fixture.root.activate('v2');
    await fixture.store.rotateRoot(ACTOR);
    const alone = fixture.reopen(createKeyring({ keys: { v2 }, activeKid: 'v2' }));
    await alone.ready();
    const put = (change: object) => knex('secret_tenant_keys').where({ tenant_id: 'acme' }).update(change);
    await put({ root_kid: 'v1', wrapped: old.wrapped });
    expect(await rejection(alone.tenant('acme', ACTOR).get('key'))).toMatchObject({
      code: 'ERR_SECRETS_ROOT_KEY_MISSING',
      context: { kid: 'v1' },
    });
    // with both at hand the old row opens; a wrong note of which key it is under is an edit
    expect((await fixture.reopen(fixture.root).tenant('acme', ACTOR).get('key')).value).toBe('x');
    await put({ root_kid: 'v2' });
    const both = fixture.reopen(fixture.root);
    expect(await rejection(both.tenant('acme', ACTOR).get('key'))).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY' });
  });

  it('that are destroyed hold back no root key', async () => {
    await fixture.tenant('gone').save('key', 'x');
    await knex('secret_tenant_keys').where({ tenant_id: 'gone' }).update({ status: 'destroyed', wrapped: null });
    fixture.root.add('v2', generateKeyBase64());
    fixture.root.activate('v2');
    expect(await fixture.store.rotateRoot(ACTOR)).toMatchObject({ rewrapped: 1, retired: ['v1'] });
    expect(await rejection(fixture.tenant('gone').get('key'))).toMatchObject({ code: 'ERR_SECRETS_KEY_UNAVAILABLE' });
  });

  it('sign the expiry that a read honours', async () => {
    const { id } = await fixture.tenant('acme').save('key', 'x');
    const row = await knex('secret_tenant_keys').where({ tenant_id: 'acme' }).first();
    const context = contexts.tenantKek('acme', row.kek_id);
    const key = await fixture.root.unwrapKey({ kid: 'v1', wrapped: row.wrapped }, { context });
    const kek = createKeyring({ keys: { [row.kek_id]: key }, activeKid: row.kek_id });
    const expire = async (at: Date): Promise<void> => {
      const facts = { tenantId: 'acme', id, name: 'key', currentVersion: 1, isDeleted: false };
      const binding = makeBinding(kek, { ...facts, expiresAt: at.getTime() });
      await knex('secrets').where({ tenant_id: 'acme', id }).update({ expires_at: at, binding });
    };
    await expire(new Date(Date.now() + 60_000));
    expect((await fixture.tenant('acme').get('key')).value).toBe('x');
    await expire(new Date(Date.now() - 1));
    expect(await rejection(fixture.tenant('acme').get('key'))).toMatchObject({ code: 'ERR_SECRETS_EXPIRED' });
    expect((await auditRows(knex, 'acme')).at(-1)).toMatchObject({ action: 'secret.get', outcome: 'refused' });
    // as the message says
    await fixture.tenant('acme').delete('key');
    await fixture.tenant('acme').save('key', 'y');
    expect((await fixture.tenant('acme').get('key')).value).toBe('y');
  });
});

describeEachEngine('root keys at start-up', (engine) => {
  it('are all checked, not only the active one', async () => {
    const fixture = await openFixture(engine);
    try {
      await fixture.tenant('acme').save('key', 'x');
      const keys = { v1: generateKeyBase64(), v2: generateKeyBase64() };
      const store = fixture.reopen(createKeyring({ keys, activeKid: 'v2' }));
      expect(await rejection(store.ready())).toMatchObject({
        code: 'ERR_SECRETS_ROOT_KEY_WRONG',
        context: { kid: 'v1' },
      });
      expect(await fixture.knex('secret_root_keys').select('kid')).toEqual([{ kid: 'v1' }]);
    } finally {
      await fixture.close();
    }
  });

  it('that two processes register under one id at once cannot both be right', async () => {
    const fixture = await openFixture(engine);
    try {
      const mine = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
      const store = fixture.reopen({
        provider: 'test',
        activeKid: 'v1',
        wrapKey: (key, options) => mine.wrapKey(key, options),
        unwrapKey: (wrapped, options) => mine.unwrapKey(wrapped, options),
        checkValue: async (kid) => {
          await fixture.store.ready(); // the other process is faster
          return await mine.checkValue(kid);
        },
        verifyCheckValue: (kid, value) => mine.verifyCheckValue(kid, value),
      });
      expect(await rejection(store.ready())).toMatchObject({ code: 'ERR_SECRETS_ROOT_KEY_WRONG' });
    } finally {
      await fixture.close();
    }
  });
});
