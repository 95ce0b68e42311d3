import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
import type { KeyProgress, SecretStore } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { auditRows, type Fixture, openFixture, rejection, wrapperOf } from './support.ts';

const ACTOR = { actor: 'operator' } as const;

describeEachEngine('a rotation of a tenant key', (engine) => {
  let fixture: Fixture;
  let knex: Knex;
  let store: SecretStore;

  beforeAll(async () => {
    fixture = await openFixture(engine);
  });
  beforeEach(async () => {
    fixture = await fixture.renew();
    ({ knex, store } = fixture);
    const acme = fixture.tenant('acme');
    for (const name of ['a', 'b', 'c', 'd', 'e']) await acme.save(name, `${name} 1`);
    await acme.save('a', 'a 2');
    await acme.delete('e');
    await fixture.tenant('globex').save('a', 'other');
  });
  afterAll(async () => {
    await fixture?.close();
  });

  const keys = async (): Promise<readonly { kek_id: string; status: string }[]> =>
    await knex('secret_tenant_keys').where({ tenant_id: 'acme' }).orderBy('created_at').select('kek_id', 'status');
  const versionsUnder = async (kekId: string): Promise<number> =>
    (await knex('secret_versions').where({ tenant_id: 'acme', kek_id: kekId })).length;
  const bindingsUnder = async (kekId: string): Promise<number> => {
    const rows: { binding: Buffer }[] = await knex('secrets').where({ tenant_id: 'acme' }).select('binding');
    return rows.filter(({ binding }) => binding.toString('hex').startsWith(kekId.replaceAll('-', ''))).length;
  };

  it('puts every data key and every binding under a new key, and touches no value and no other tenant', async () => {
    const values = await knex('secret_versions').orderBy(['secret_id', 'version']).select('ciphertext');
    const globex = await knex('secret_versions').where({ tenant_id: 'globex' });
    const [old] = await keys();
    const rotation = await store.rotateTenant('acme', ACTOR);
    expect(rotation).toEqual({
      tenantId: 'acme',
      keyId: expect.any(String) as string,
      dataKeys: 6,
      bindings: 5,
      previous: [old?.kek_id],
    });
    expect(await keys()).toEqual([
      { kek_id: old?.kek_id, status: 'decrypt-only' },
      { kek_id: rotation.keyId, status: 'active' },
    ]);
    expect([await versionsUnder(rotation.keyId), await bindingsUnder(rotation.keyId)]).toEqual([6, 5]);
    expect(await knex('secret_versions').orderBy(['secret_id', 'version']).select('ciphertext')).toEqual(values);
    expect(await knex('secret_versions').where({ tenant_id: 'globex' })).toEqual(globex);
    for (const each of [store, fixture.reopen(fixture.root)]) {
      const acme = each.tenant('acme', ACTOR);
      expect((await acme.get('a')).value).toBe('a 2');
      expect((await acme.get('a', { version: 1 })).value).toBe('a 1');
      expect((await acme.get('d')).value).toBe('d 1');
    }
    // the old key really is needed no more
    await store.destroyKey({ tenantId: 'acme', keyId: old?.kek_id ?? '' }, ACTOR);
    expect((await fixture.reopen(fixture.root).tenant('acme', ACTOR).get('a')).value).toBe('a 2');
  });

  it('is audited in the log of the tenant, batch by batch', async () => {
    const { keyId } = await store.rotateTenant('acme', { ...ACTOR, batchRows: 4 });
    const rows = (await auditRows(knex, 'acme')).slice(8);
    expect(rows.map(({ action }) => action)).toEqual([
      'tenant-key.create',
      ...Array.from({ length: 4 }, () => 'tenant.rewrap'),
      'tenant.rotate',
    ]);
    expect(rows.every(({ actor, outcome }) => actor === 'operator' && outcome === 'success')).toBe(true);
    expect(JSON.parse(rows.at(-1)?.context ?? '')).toMatchObject({ key: keyId, dataKeys: 6, bindings: 5 });
  });

  it('tells of every batch, and in a dry run only how much there is', async () => {
    const before = await knex('secret_tenant_keys').orderBy('kek_id');
    expect(await store.rotateTenant('acme', { ...ACTOR, dryRun: true })).toMatchObject({ dataKeys: 0, pending: 11 });
    expect(await knex('secret_tenant_keys').orderBy('kek_id')).toEqual(before);
    const seen: KeyProgress[] = [];
    await store.rotateTenant('acme', { ...ACTOR, batchRows: 4, onProgress: (progress) => seen.push(progress) });
    expect(seen.map(({ phase, done, total, batch }) => [phase, done, total, batch])).toEqual([
      ['data-keys', 4, 11, 4],
      ['data-keys', 6, 11, 2],
      ['bindings', 10, 11, 4],
      ['bindings', 11, 11, 1],
    ]);
    expect(seen.every(({ elapsedMs }) => elapsedMs > 0)).toBe(true);
  });

  it('goes on with the key it had begun with when it is called again', async () => {
    const [old] = await keys();
    const onProgress = (): void => {
      throw new Error('the process dies');
    };
    const options = { ...ACTOR, batchRows: 2, onProgress };
    expect(await rejection(store.rotateTenant('acme', options))).toMatchObject({
      code: 'ERR_SECRETS_INVALID_ARGUMENT',
    });
    const half = await keys();
    const begun = half.find(({ status }) => status === 'active')?.kek_id ?? '';
    expect(begun).not.toBe(old?.kek_id);
    expect(await versionsUnder(begun)).toBeGreaterThan(0);
    expect(await versionsUnder(old?.kek_id ?? '')).toBeGreaterThan(0);
    for (const each of [store, fixture.reopen(fixture.root)]) {
      expect((await each.tenant('acme', ACTOR).list()).items).toHaveLength(4);
      expect((await each.tenant('acme', ACTOR).get('a')).value).toBe('a 2');
      expect((await each.tenant('acme', ACTOR).get('d')).value).toBe('d 1');
    }
    expect((await fixture.reopen(fixture.root).rotateTenant('acme', ACTOR)).keyId).toBe(begun);
    expect(await keys()).toHaveLength(2);
    expect([await versionsUnder(begun), await bindingsUnder(begun)]).toEqual([6, 5]);
    // a rotation that has ended is not gone on with
    expect((await store.rotateTenant('acme', ACTOR)).keyId).not.toBe(begun);
  });

  it('leaves alone what is saved, deleted and destroyed meanwhile, and leaves nothing behind', async () => {
    const root = createKeyring({ keys: fixture.keys, activeKid: 'v1' });
    const live = fixture.reopen(fixture.root).tenant('acme', ACTOR);
    let step = 0;
    const during: Promise<unknown>[] = [];
    const rotating = fixture.reopen(root).rotateTenant('acme', {
      ...ACTOR,
      batchRows: 1,
      onProgress: () => {
        step++;
        if (step === 1) during.push(live.save('b', 'b 2'), live.save('f', 'f 1'));
        if (step === 2) during.push(live.delete('c'));
        if (step === 7) during.push(live.save('a', 'a 3'));
      },
    });
    const { keyId } = await rotating;
    await Promise.all(during);
    const versions = (await knex('secret_versions').where({ tenant_id: 'acme' })).length;
    expect([versions, await versionsUnder(keyId)]).toEqual([9, 9]);
    expect(await bindingsUnder(keyId)).toBe(6);
    const reader = fixture.reopen(root).tenant('acme', ACTOR);
    expect((await reader.get('a')).value).toBe('a 3');
    expect((await reader.get('b')).value).toBe('b 2');
    expect((await reader.get('f')).value).toBe('f 1');
    expect(await rejection(reader.get('c'))).toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
  });

  it('stops at a row that was tampered with and names it, and goes on when it is restored', async () => {
    const rows: { secret_id: string; version: number; wrapped_dek: Buffer }[] = await knex('secret_versions')
      .where({ tenant_id: 'acme' })
      .orderBy(['secret_id', 'version'])
      .select('secret_id', 'version', 'wrapped_dek');
    const [first, , third] = rows;
    const at = { tenant_id: 'acme', secret_id: third?.secret_id, version: third?.version };
    await knex('secret_versions').where(at).update({ wrapped_dek: first?.wrapped_dek });
    const error = await rejection(store.rotateTenant('acme', ACTOR));
    expect(error).toMatchObject({
      code: 'ERR_SECRETS_INTEGRITY',
      context: { tenantId: 'acme', secretId: third?.secret_id, version: third?.version },
    });
    expect((await auditRows(knex, 'acme')).at(-1)).toMatchObject({ action: 'tenant.rotate', outcome: 'refused' });
    await knex('secret_versions').where(at).update({ wrapped_dek: third?.wrapped_dek });
    const { keyId } = await store.rotateTenant('acme', ACTOR);
    const binding = { tenant_id: 'acme', name: 'b' };
    await knex('secrets').where(binding).update({ current_version: 7 });
    expect(await rejection(store.rotateTenant('acme', ACTOR))).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY' });
    await knex('secrets').where(binding).update({ current_version: 1 });
    const planted = await knex('secrets').where(binding).first('id', 'binding');
    const unknown = Buffer.concat([Buffer.alloc(16, 7), planted.binding.subarray(16)]);
    await knex('secrets').where(binding).update({ binding: unknown });
    expect(await rejection(store.rotateTenant('acme', ACTOR))).toMatchObject({
      code: 'ERR_SECRETS_INTEGRITY',
      context: { tenantId: 'acme', secretId: planted.id },
    });
    await knex('secrets').where(binding).update({ binding: planted.binding });
    const again = await store.rotateTenant('acme', ACTOR);
    expect(again.previous).toContain(keyId);
    expect([await versionsUnder(again.keyId), await bindingsUnder(again.keyId)]).toEqual([6, 5]);
  });

  it('moves what was destroyed along, without bringing it back', async () => {
    const row = await knex('secrets').where({ tenant_id: 'acme', name: 'a' }).first();
    const at = { tenant_id: 'acme', secret_id: row.id, version: 1 };
    await knex('secret_versions').where(at).update({ wrapped_dek: null, ciphertext: null, destroyed_at: new Date() });
    const { keyId, dataKeys } = await store.rotateTenant('acme', ACTOR);
    expect(dataKeys).toBe(6);
    expect(await knex('secret_versions').where(at).first()).toMatchObject({ kek_id: keyId, wrapped_dek: null });
  });

  it('is refused for a tenant that has no key, or none that is left, and while another process is at it', async () => {
    expect(await rejection(store.rotateTenant('nobody', ACTOR))).toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
    const other = fixture.reopen(fixture.root);
    const refused: unknown[] = [];
    let pending: Promise<unknown> | undefined;
    await store.rotateTenant('acme', {
      ...ACTOR,
      batchRows: 1,
      onProgress: () => {
        pending ??= rejection(other.rotateTenant('acme', ACTOR)).then((error) => refused.push(error));
      },
    });
    await pending;
    expect(refused).toMatchObject([{ code: 'ERR_SECRETS_LEASE_HELD', retryable: true }]);
    await knex('secret_tenant_keys').where({ tenant_id: 'acme' }).update({ status: 'destroyed', wrapped: null });
    expect(await rejection(store.rotateTenant('acme', ACTOR))).toMatchObject({ code: 'ERR_SECRETS_KEY_UNAVAILABLE' });
    expect(await rejection(store.rotateTenant('$system', ACTOR))).toMatchObject({
      code: 'ERR_SECRETS_INVALID_ARGUMENT',
    });
  });

  it.each(['get', 'list', 'save'] as const)(
    'lets a %s that was under way when the old key was destroyed end well, audited once',
    async (name) => {
      const [old] = await keys();
      const onProgress = ({ phase, done }: KeyProgress): void => {
        if (phase === 'data-keys' && done === 6) throw new Error('the process dies');
      };
      await rejection(store.rotateTenant('acme', { ...ACTOR, onProgress }));
      let cold = false;
      const remote = wrapperOf(fixture.root, {
        unwrapKey: async (wrapped, options) => {
          if (cold) {
            cold = false;
            await store.rotateTenant('acme', ACTOR);
            await store.destroyKey({ tenantId: 'acme', keyId: old?.kek_id ?? '' }, ACTOR);
          }
          return await fixture.root.unwrapKey(wrapped, options);
        },
      });
      const other = fixture.reopen(remote);
      await other.ready();
      cold = true;
      const acme = other.tenant('acme', ACTOR);
      if (name === 'get') expect((await acme.get('a')).value).toBe('a 2');
      if (name === 'list') expect((await acme.list()).items).toHaveLength(4);
      if (name === 'save') expect((await acme.save('a', 'a 3')).version).toBe(3);
      expect(cold).toBe(false);
      const rows = await auditRows(knex, 'acme');
      expect(rows.filter(({ action }) => action === `secret.${name}`).slice(name === 'save' ? 6 : 0)).toMatchObject([
        { outcome: 'success' },
      ]);
    },
  );

  it('does not go on under a key that was disabled, and destroyed where nothing was under it yet', async () => {
    const other = fixture.reopen(fixture.root);
    const begun = async (): Promise<string> => {
      const key = (await keys()).find(({ status }) => status === 'active');
      return key?.kek_id ?? '';
    };
    const [old] = await keys();
    const slow = wrapperOf(fixture.root, {
      unwrapKey: async (wrapped, options) => {
        const keyId = await begun();
        if (keyId !== old?.kek_id && keyId !== '') {
          await other.disableKey({ tenantId: 'acme', keyId }, ACTOR);
          await other.destroyKey({ tenantId: 'acme', keyId }, ACTOR);
        }
        return await fixture.root.unwrapKey(wrapped, options);
      },
    });
    // the old key is unwrapped for the first batch, when the new one is there
    expect(await rejection(fixture.reopen(slow).rotateTenant('acme', ACTOR))).toMatchObject({
      code: 'ERR_SECRETS_KEY_UNAVAILABLE',
      context: { state: 'destroyed' },
    });
    const acme = fixture.reopen(fixture.root).tenant('acme', ACTOR);
    expect((await acme.get('a')).value).toBe('a 2');
    const { keyId } = await store.rotateTenant('acme', ACTOR);
    expect([await versionsUnder(keyId), await bindingsUnder(keyId)]).toEqual([6, 5]);
    expect((await acme.get('d')).value).toBe('d 1');
  });

  it('moves nothing away from a key that was disabled, nor to one', async () => {
    const other = fixture.reopen(fixture.root);
    for (const disabled of ['older', 'newer'] as const) {
      const first = (await keys()).find(({ status }) => status === 'active');
      let step = 0;
      let change: Promise<unknown> | undefined;
      let at = '';
      const rotating = fixture.reopen(fixture.root).rotateTenant('acme', {
        ...ACTOR,
        batchRows: 1,
        onProgress: () => {
          step++;
          change ??= (async () => {
            const now = (await keys()).find(({ status }) => status === 'active')?.kek_id ?? '';
            at = disabled === 'newer' ? now : (first?.kek_id ?? '');
            await other.disableKey({ tenantId: 'acme', keyId: at }, ACTOR);
          })();
        },
      });
      expect(await rejection(rotating)).toMatchObject({
        code: 'ERR_SECRETS_KEY_UNAVAILABLE',
        context: { state: 'disabled' },
      });
      await change;
      expect(step).toBeLessThan(11);
      await other.enableKey({ tenantId: 'acme', keyId: at }, ACTOR);
      await store.rotateTenant('acme', ACTOR);
    }
    expect((await fixture.reopen(fixture.root).tenant('acme', ACTOR).get('a')).value).toBe('a 2');
  });

  it("is ended by the caller's signal between two batches", async () => {
    const controller = new AbortController();
    const options = { ...ACTOR, batchRows: 1, signal: controller.signal, onProgress: () => controller.abort() };
    expect(await rejection(store.rotateTenant('acme', options))).toMatchObject({ code: 'ERR_SECRETS_ABORTED' });
    expect((await store.rotateTenant('acme', ACTOR)).dataKeys).toBeGreaterThan(0);
  });

  it.each([
    ['nothing', undefined],
    ['no actor', {}],
    ['an actor with a line break', { actor: 'a\nb' }],
    ['batches of 0', { actor: 'x', batchRows: 0 }],
    ['batches of 10,001', { actor: 'x', batchRows: 10_001 }],
    ['a callback that is none', { actor: 'x', onProgress: 'log' }],
    ['a signal that is none', { actor: 'x', signal: {} }],
  ])('is refused with %s, and changes nothing', async (_what, options) => {
    const before = await keys();
    for (const attempt of [
      () => store.rotateTenant('acme', options as never),
      () => store.reencryptTenant('acme', options as never),
      () => store.rotateRoot(options as never),
    ]) {
      expect(await rejection(attempt())).toMatchObject({ code: 'ERR_SECRETS_INVALID_ARGUMENT', retryable: false });
    }
    expect(await keys()).toEqual(before);
  });

  it('stores no key that does not come back from the root key', async () => {
    const wrapKey = (_key: Uint8Array, options: Parameters<typeof fixture.root.wrapKey>[1]) =>
      fixture.root.wrapKey(new Uint8Array(32).fill(3), options);
    const before = await keys();
    const broken = fixture.reopen(wrapperOf(fixture.root, { wrapKey }));
    expect(await rejection(broken.rotateTenant('acme', ACTOR))).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY' });
    expect(await keys()).toEqual(before);
  });

  if (engine.name === 'postgres') {
    it('waits for a transaction that writes under the old key, and rewraps what it wrote', async () => {
      const written = Promise.withResolvers<void>();
      const commit = Promise.withResolvers<void>();
      const open = knex.transaction(async (trx) => {
        await fixture.tenant('acme', trx).save('late', 'x');
        written.resolve();
        await commit.promise;
      });
      await written.promise;
      const rotating = fixture.reopen(fixture.root).rotateTenant('acme', ACTOR);
      const early = await Promise.race([rotating, new Promise((resolve) => setTimeout(resolve, 300, 'waiting'))]);
      expect(early).toBe('waiting');
      commit.resolve();
      await open;
      const { keyId, previous } = await rotating;
      expect(await versionsUnder(keyId)).toBe(7);
      await store.destroyKey({ tenantId: 'acme', keyId: previous[0] ?? '' }, ACTOR);
      expect((await fixture.reopen(fixture.root).tenant('acme', ACTOR).get('late')).value).toBe('x');
    });

    it('waits for no row that a transaction has locked, but comes back for it', async () => {
      const locked = Promise.withResolvers<void>();
      const commit = Promise.withResolvers<void>();
      const open = knex.transaction(async (trx) => {
        await trx('secrets').where({ tenant_id: 'acme', name: 'b' }).forUpdate().first();
        await trx('secret_versions').where({ tenant_id: 'acme' }).forUpdate().first();
        locked.resolve();
        await commit.promise;
      });
      await locked.promise;
      const seen: KeyProgress[] = [];
      const onProgress = (progress: KeyProgress): void => void seen.push(progress);
      const rotating = store.rotateTenant('acme', { ...ACTOR, onProgress });
      await vi.waitFor(() => expect(seen.at(-1)?.done).toBeGreaterThanOrEqual(9), { timeout: 5_000 });
      commit.resolve();
      await open;
      const { keyId } = await rotating;
      expect([await versionsUnder(keyId), await bindingsUnder(keyId)]).toEqual([6, 5]);
    });

    it('lets nobody who still has the old key in memory write under it', async () => {
      const other = fixture.reopen(fixture.root).tenant('acme', ACTOR);
      await other.save('warm', 'x');
      const { keyId } = await store.rotateTenant('acme', ACTOR);
      await Promise.all([other.save('g', '1'), other.save('a', 'a 3'), other.delete('b')]);
      await knex.transaction((trx) => fixture.tenant('acme', trx).update('d', { value: 'd 2' }));
      const all = (await knex('secret_versions').where({ tenant_id: 'acme' })).length;
      expect(await versionsUnder(keyId)).toBe(all);
    });
  }

  it('moves on with a remote root key that keeps a tenant waiting', async () => {
    const keysOfRoot = { ...fixture.keys, v2: generateKeyBase64() };
    const rotated = createKeyring({ keys: keysOfRoot, activeKid: 'v2' });
    const slow = wrapperOf(rotated, {
      wrapKey: async (key, options) => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        return await rotated.wrapKey(key, options);
      },
    });
    const { keyId } = await fixture.reopen(slow).rotateTenant('acme', ACTOR);
    expect(await knex('secret_tenant_keys').where({ kek_id: keyId }).first('root_kid')).toEqual({ root_kid: 'v2' });
  });
});
