import { createKeyring, generateKeyBase64, type KeyWrapper } from '@keywright/envelope';
import type { SecretStore, TenantKeyName } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { auditRows, type Fixture, openFixture, rejection, wrapperOf } from './support.ts';

const ACTOR = { actor: 'operator' } as const;

describeEachEngine('a key', (engine) => {
  let fixture: Fixture;
  let knex: Knex;
  let store: SecretStore;

  beforeAll(async () => {
    fixture = await openFixture(engine);
  });
  beforeEach(async () => {
    fixture = await fixture.renew();
    ({ knex, store } = fixture);
    await fixture.tenant('acme').save('a', 'one');
    await fixture.tenant('acme').save('b', 'two');
  });
  afterAll(async () => {
    await fixture?.close();
  });

  const activeKey = async (): Promise<TenantKeyName> => {
    const row = await knex('secret_tenant_keys').where({ tenant_id: 'acme', status: 'active' }).first();
    return { tenantId: 'acme', keyId: row.kek_id };
  };

  it('of a tenant that rows need is reported with them, and is not destroyed', async () => {
    const key = await activeKey();
    expect(await store.retireKey(key, ACTOR)).toEqual({
      kind: 'tenant',
      ...key,
      status: 'active',
      versions: 2,
      bindings: 2,
    });
    const error = await rejection(store.destroyKey(key, ACTOR));
    expect(error).toMatchObject({ code: 'ERR_SECRETS_KEY_IN_USE', context: { ...key, state: 'active', count: 4 } });
    expect((await auditRows(knex, 'acme')).at(-1)).toMatchObject({ action: 'tenant-key.destroy', outcome: 'refused' });
    await knex('secret_tenant_keys').where({ kek_id: key.keyId }).update({ status: 'decrypt-only' });
    expect(await rejection(store.destroyKey(key, ACTOR))).toMatchObject({ code: 'ERR_SECRETS_KEY_IN_USE' });
    expect((await fixture.tenant('acme').get('a')).value).toBe('one');
  });

  it('of a tenant that nothing needs any more is destroyed, once', async () => {
    const key = await activeKey();
    await store.rotateTenant('acme', ACTOR);
    expect(await store.retireKey(key, ACTOR)).toMatchObject({ status: 'decrypt-only', versions: 0, bindings: 0 });
    await store.destroyKey(key, ACTOR);
    await store.destroyKey(key, ACTOR);
    const row = await knex('secret_tenant_keys').where({ kek_id: key.keyId }).first();
    expect(row).toMatchObject({ status: 'destroyed', wrapped: null });
    expect(row.destroyed_at).not.toBeNull();
    expect((await auditRows(knex, 'acme')).filter(({ action }) => action === 'tenant-key.destroy')).toHaveLength(1);
    expect((await fixture.reopen(fixture.root).tenant('acme', ACTOR).get('b')).value).toBe('two');
  });

  it('of a tenant that is disabled is refused everywhere until it is enabled', async () => {
    const other = fixture.reopen(fixture.root).tenant('acme', ACTOR);
    await other.get('a');
    const key = await activeKey();
    await store.disableKey(key, ACTOR);
    await store.disableKey(key, ACTOR);
    for (const acme of [fixture.tenant('acme'), other]) {
      expect(await rejection(acme.get('a'))).toMatchObject({ code: 'ERR_SECRETS_KEY_UNAVAILABLE' });
      expect(await rejection(acme.save('c', 'x'))).toMatchObject({ code: 'ERR_SECRETS_KEY_UNAVAILABLE' });
    }
    await store.enableKey(key, ACTOR);
    expect(await activeKey()).toEqual(key);
    expect((await other.get('a')).value).toBe('one');
    await other.save('c', 'x');
  });

  it('of a tenant that was replaced only decrypts when it is enabled again', async () => {
    const key = await activeKey();
    await store.disableKey(key, ACTOR);
    // what is under a disabled key stays where it is: the rotation says so
    expect(await rejection(store.rotateTenant('acme', ACTOR))).toMatchObject({
      code: 'ERR_SECRETS_KEY_UNAVAILABLE',
      context: { tenantId: 'acme', keyId: key.keyId, state: 'disabled' },
    });
    const next = await activeKey();
    expect(next).not.toEqual(key);
    await store.enableKey(key, ACTOR);
    expect(await activeKey()).toEqual(next);
    expect(await store.rotateTenant('acme', ACTOR)).toMatchObject({ keyId: next.keyId, dataKeys: 2, bindings: 2 });
    // the newest is not the active one any more where that is destroyed by hand
    await store.disableKey(next, ACTOR);
    await store.enableKey(key, ACTOR);
    expect(await knex('secret_tenant_keys').where({ tenant_id: 'acme', status: 'active' })).toEqual([]);
  });

  it.each([
    ['another tenant', { tenantId: 'globex' }],
    ['no UUID', { keyId: 'v1' }],
    ['an unknown id', { keyId: '00000000-0000-7000-8000-000000000000' }],
  ])('of %s is not found', async (_what, change) => {
    const key = { ...(await activeKey()), ...change };
    for (const attempt of [
      () => store.retireKey(key, ACTOR),
      () => store.destroyKey(key, ACTOR),
      () => store.disableKey(key, ACTOR),
      () => store.enableKey(key, ACTOR),
    ]) {
      expect(await rejection(attempt())).toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
    }
  });

  it('of the store itself cannot be disabled or destroyed', async () => {
    const row = await knex('secret_tenant_keys').where({ tenant_id: '$system' }).first();
    const key = { tenantId: '$system', keyId: row.kek_id };
    for (const attempt of [() => store.destroyKey(key, ACTOR), () => store.disableKey(key, ACTOR)]) {
      expect(await rejection(attempt())).toMatchObject({ code: 'ERR_SECRETS_INVALID_ARGUMENT' });
    }
  });

  it('at the root is reported page by page, and retired when nothing is under it', async () => {
    for (const tenant of ['b', 'c', 'd']) await fixture.tenant(tenant).save('a', 'x');
    const first = await store.retireKey('v1', { ...ACTOR, limit: 2 });
    expect(first).toMatchObject({ kind: 'root', kid: 'v1', status: 'active', tenantKeys: 5 });
    expect(first.tenants.items).toEqual([
      { tenantId: '$system', keys: 1 },
      { tenantId: 'acme', keys: 1 },
    ]);
    const second = await store.retireKey('v1', { ...ACTOR, limit: 3, cursor: first.tenants.nextCursor });
    expect(second.tenants.items.map(({ tenantId }) => tenantId)).toEqual(['b', 'c', 'd']);
    expect(second.tenants.nextCursor).toBeUndefined();
    expect(await store.retireKey('v9', ACTOR)).toMatchObject({ status: 'unknown', tenantKeys: 0 });
    // destroyed keys need nothing
    const keys = { ...fixture.keys, v2: generateKeyBase64() };
    const rotated = fixture.reopen(createKeyring({ keys, activeKid: 'v2' }));
    await rotated.rotateRoot(ACTOR);
    await knex('secret_root_keys').where({ kid: 'v1' }).update({ status: 'active' });
    expect(await rotated.retireKey('v1', ACTOR)).toMatchObject({ status: 'retired', tenantKeys: 0 });
    expect(await knex('secret_root_keys').where({ kid: 'v1' }).first('status')).toEqual({ status: 'retired' });
    expect((await auditRows(knex, '$system')).at(-1)).toMatchObject({ action: 'root.retire', actor: 'operator' });
    expect(await rotated.retireKey('v2', ACTOR)).toMatchObject({ status: 'active', tenantKeys: 5 });
  });

  it('of the audit log changes hands: what was written with either stays authentic, in every process', async () => {
    const old = fixture.reopen(fixture.root);
    await old.tenant('acme', ACTOR).get('a');
    const before = await knex('secret_tenant_keys').where({ tenant_id: '$system' }).first();
    const { keyId, previous } = await store.rotateAuditKey(ACTOR);
    expect(previous).toBe(before.kek_id);
    expect(keyId).not.toBe(previous);
    await fixture.tenant('acme').get('a');
    await old.tenant('acme', ACTOR).get('b');
    for (const each of [store, old, fixture.reopen(fixture.root)]) {
      const { items } = await each.tenant('acme', ACTOR).auditLog({ limit: 50 });
      expect(items.length).toBeGreaterThan(4);
      expect(items.filter(({ authentic }) => !authentic)).toEqual([]);
    }
    const macs: { mac: Buffer }[] = await knex('secret_audit_log').where({ tenant_id: 'acme' }).select('mac');
    const kids = new Set(macs.map(({ mac }) => mac.toString('hex', 0, 16)));
    expect(kids).toEqual(new Set([keyId, previous].map((id) => id.replaceAll('-', ''))));
  });

  it('at the root that another process is rotating to is not retired, though nothing is under it yet', async () => {
    const keys = { ...fixture.keys, v2: generateKeyBase64() };
    const rotated = createKeyring({ keys, activeKid: 'v2' });
    let report: Promise<unknown> | undefined;
    const wrapKey: KeyWrapper['wrapKey'] = async (key, options) => {
      report ??= store.retireKey('v2', ACTOR);
      await report;
      return await rotated.wrapKey(key, options);
    };
    await fixture.reopen(wrapperOf(rotated, { wrapKey })).rotateRoot(ACTOR);
    expect(await report).toMatchObject({ status: 'active', tenantKeys: 0 });
    expect(await knex('secret_root_keys').where({ kid: 'v2' }).first('status')).toEqual({ status: 'active' });
  });

  if (engine.name === 'postgres') {
    it('is disabled at once, whoever has a transaction open that writes with it', async () => {
      const key = await activeKey();
      await knex.transaction(async (trx) => {
        await fixture.tenant('acme', trx).save('late', 'x');
        await store.disableKey(key, ACTOR);
        expect(await rejection(fixture.tenant('acme').get('a'))).toMatchObject({ code: 'ERR_SECRETS_KEY_UNAVAILABLE' });
      });
      expect(await rejection(fixture.tenant('acme').get('late'))).toMatchObject({
        code: 'ERR_SECRETS_KEY_UNAVAILABLE',
      });
      await store.enableKey(key, ACTOR);
      expect((await fixture.tenant('acme').get('late')).value).toBe('x');
    });

    it('of a tenant is not destroyed under a transaction that writes with it', async () => {
      const key = await activeKey();
      const written = Promise.withResolvers<void>();
      const commit = Promise.withResolvers<void>();
      const open = knex.transaction(async (trx) => {
        await fixture.tenant('acme', trx).save('late', 'x');
        written.resolve();
        await commit.promise;
      });
      await written.promise;
      // as if everything else had been moved away from it
      await knex('secret_tenant_keys').where({ kek_id: key.keyId }).update({ status: 'decrypt-only' });
      await knex('secret_versions').where({ tenant_id: 'acme' }).delete();
      await knex('secrets').where({ tenant_id: 'acme' }).delete();
      const destroying = rejection(store.destroyKey(key, ACTOR));
      await Promise.race([destroying, new Promise((resolve) => setTimeout(resolve, 200))]);
      commit.resolve();
      await open;
      expect(await destroying).toMatchObject({ code: 'ERR_SECRETS_KEY_IN_USE', context: { count: 2 } });
      expect((await fixture.tenant('acme').get('late')).value).toBe('x');
    });
  }
});
