import { type KmsKeyRef, type KmsProvider, type PublicJwk, verifySignature } from '@keywright/kms';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type KeyFixture, openKeys, registryOf, rejection } from '../support/key-fixture.ts';

const DATA = Buffer.from('data to be signed');

describeEachEngine('moving keys', (engine) => {
  let fixture: KeyFixture;
  beforeAll(async () => {
    fixture = await openKeys(engine, { main: {}, vault: { assignsIds: true }, eternal: { deletes: false } });
  });
  afterEach(() => fixture.empty());
  afterAll(() => fixture?.close());

  const copies = (): Promise<readonly Record<string, unknown>[]> => fixture.rows('kms_key_copies');

  it('imports the key at its new provider, which signs, and deletes it at the former one', async () => {
    const { acme, main } = fixture;
    const before = await acme.create({ keyId: 'k1', description: 'kept' });
    const { key, former } = await acme.move('k1', { to: 'vault', import: true });
    expect(former).toBe('deleted');
    expect(key).toMatchObject({ keyId: 'k1', providerId: 'vault', publicJwk: before.publicJwk, description: 'kept' });
    expect(key.externalId).not.toContain(before.externalId);
    expect(await acme.get('k1')).toEqual(key);
    expect(verifySignature('ES256', before.publicJwk, DATA, await acme.sign('k1', DATA))).toBe(true);
    expect(main.ids()).toEqual([]);
    expect(fixture.backend('vault').ids()).toEqual([key.externalId]);
    expect(await copies()).toEqual([]);
    expect((await fixture.keys.reconcile({ olderThanMs: 0 })).counts).toMatchObject({ orphans: 0, missing: 0 });
  });

  it('moves the reference to the same key under another provider id', async () => {
    const { acme, main } = fixture;
    const before = await acme.create({ keyId: 'k1' });
    const registry = registryOf([main.provider('renamed')]);
    const { key, former } = await fixture
      .reopen({ registry })
      .tenant('acme')
      .move('k1', { to: 'renamed', externalId: before.externalId });
    expect(former).toBe('kept');
    expect(key).toMatchObject({ providerId: 'renamed', externalId: before.externalId, publicJwk: before.publicJwk });
    expect(main.ids()).toEqual([before.externalId]);
    const acmeRenamed = fixture.reopen({ registry }).tenant('acme');
    expect(verifySignature('ES256', before.publicJwk, DATA, await acmeRenamed.sign('k1', DATA))).toBe(true);
  });

  it('refuses another key, by its public key and by its signature, and changes nothing', async () => {
    const { acme } = fixture;
    const key = await acme.create({ keyId: 'k1' });
    const other = await acme.create({ keyId: 'k2', provider: 'vault' });
    const rows = await fixture.rows();
    await expect(acme.move('k1', { to: 'vault', externalId: other.externalId })).rejects.toMatchObject({
      code: 'ERR_KMS_KEY_MISMATCH',
      context: { tenantId: 'acme', keyId: 'k1', provider: 'vault' },
    });
    // One that shows the right public key and signs with another, and one that does the reverse.
    const vault = fixture.backend('vault').provider('vault');
    const shows = (shown: PublicJwk): KmsProvider =>
      Object.assign(Object.create(vault) as KmsProvider, {
        sign: vault.sign.bind(vault),
        getPublicKey: async () => shown,
      });
    const main = fixture.main.provider('main');
    const same: KmsProvider = Object.assign(shows(other.publicJwk), {
      sign: (ref: KmsKeyRef, data: Uint8Array) =>
        main.sign({ ...ref, providerId: 'main', externalId: key.externalId }, data),
    });
    for (const liar of [shows(key.publicJwk), same]) {
      Object.defineProperties(liar, { id: { value: 'vault' }, capabilities: { value: vault.capabilities } });
      const lied = fixture.reopen({ registry: registryOf([liar]) }).tenant('acme');
      await expect(lied.move('k1', { to: 'vault', externalId: other.externalId })).rejects.toMatchObject({
        code: 'ERR_KMS_KEY_MISMATCH',
      });
    }
    await expect(acme.move('k1', { to: 'vault', externalId: 'absent' })).rejects.toMatchObject({
      code: 'ERR_KMS_KEY_NOT_FOUND',
    });
    expect(await fixture.rows()).toEqual(rows);
    expect(await copies()).toEqual([]);
  });

  it.each([
    ['exportKey', 'before', 'main', 0],
    ['importKey', 'before', 'vault', 0],
    ['sign', 'before', 'vault', 0],
    ['importKey', 'after', 'vault', 1],
  ] as const)('leaves the key where it was when %s fails %s it', async (operation, when, id, left) => {
    const { acme, main } = fixture;
    const before = await acme.create({ keyId: 'k1' });
    const vault = fixture.backend('vault');
    fixture.backend(id).failAt(operation, when, when === 'after' ? 'ERR_KMS_TIMEOUT' : 'ERR_KMS_DENIED', 1);
    const error = await rejection(acme.move('k1', { to: 'vault', import: true }));
    expect(error).toMatchObject({ context: { tenantId: 'acme', keyId: 'k1', provider: id } });
    expect(await acme.get('k1')).toEqual(before);
    expect(main.ids()).toEqual([before.externalId]);
    expect(vault.ids()).toHaveLength(left);
    expect(await copies()).toHaveLength(left);
    const report = await fixture.reopen().reconcile({ olderThanMs: 0 });
    expect(report.counts).toMatchObject({ cleared: left, deleted: left, orphans: 0, failures: 0 });
    expect(vault.ids()).toEqual([]);
    expect(await copies()).toEqual([]);
    expect(await acme.sign('k1', DATA)).toHaveLength(64);
  });

  it('says so where the former provider fails to delete it, and the next delete or reconcile does', async () => {
    const { acme, main } = fixture;
    for (const [keyId, finish] of [
      ['k1', () => fixture.reopen().reconcile()],
      ['k2', () => acme.delete('k2')],
    ] as const) {
      await acme.create({ keyId });
      main.failAt('deleteKey', 'before', 'ERR_KMS_UNAVAILABLE');
      const { former } = await acme.move(keyId, { to: 'vault', import: true });
      expect(former).toBe('deleting');
      expect(main.ids()).toHaveLength(1);
      expect(await copies()).toMatchObject([{ key_id: keyId, provider_id: 'main', status: 'deleting', attempts: 1 }]);
      main.step = undefined;
      await finish();
      expect(main.ids()).toEqual([]);
      expect(await copies()).toEqual([]);
    }
    expect(await acme.sign('k1', DATA)).toHaveLength(64);
    expect(await acme.find('k2')).toBeUndefined();
    expect(fixture.backend('vault').ids()).toHaveLength(1);
  });

  it('does not let a deleted key’s former place be forgotten', async () => {
    const { acme, main } = fixture;
    await acme.create({ keyId: 'k1' });
    main.failAt('deleteKey', 'before', 'ERR_KMS_UNAVAILABLE');
    await acme.move('k1', { to: 'vault', import: true });
    await expect(acme.delete('k1')).rejects.toMatchObject({ code: 'ERR_KMS_UNAVAILABLE' });
    expect(await acme.find('k1')).toMatchObject({ status: 'deleting' });
    main.step = undefined;
    await acme.delete('k1');
    expect([main.ids(), fixture.backend('vault').ids(), await fixture.rows(), await copies()]).toEqual([
      [],
      [],
      [],
      [],
    ]);
  });

  it('moves once of several moves at once, and signs all the while', async () => {
    const { acme, main } = fixture;
    const before = await acme.create({ keyId: 'k1' });
    const moves = Array.from({ length: 4 }, () =>
      fixture.reopen().tenant('acme').move('k1', { to: 'vault', import: true }),
    );
    const signing = Array.from({ length: 20 }, async (_, index) => {
      await new Promise((resolve) => setTimeout(resolve, index));
      return await acme.sign('k1', DATA);
    });
    const [moved, signed] = await Promise.all([Promise.allSettled(moves), Promise.all(signing)]);
    expect(moved.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const ended of moved) {
      if (ended.status === 'fulfilled') continue;
      expect(['ERR_KMS_KEY_NOT_FOUND', 'ERR_KMS_KEY_NOT_USABLE']).toContain((ended.reason as { code: string }).code);
    }
    for (const signature of signed) expect(verifySignature('ES256', before.publicJwk, DATA, signature)).toBe(true);
    expect(main.ids()).toEqual([]);
    expect(fixture.backend('vault').ids()).toEqual([(await acme.get('k1')).externalId]);
    expect(await copies()).toEqual([]);
  });

  it('signs with a key that is moved between the read of its row and the signature', async () => {
    const { acme, main } = fixture;
    const before = await acme.create({ keyId: 'k1' });
    main.step = async (operation, when) => {
      if (operation !== 'sign' || when !== 'before') return;
      main.step = undefined;
      await fixture.reopen().tenant('acme').move('k1', { to: 'vault', import: true });
    };
    expect(verifySignature('ES256', before.publicJwk, DATA, await acme.sign('k1', DATA))).toBe(true);
    expect(main.ids()).toEqual([]);
  });

  it('does not move a later key of the same id', async () => {
    const { acme, main } = fixture;
    await acme.create({ keyId: 'k1' });
    const vault = fixture.backend('vault');
    vault.step = async (operation, when) => {
      if (operation !== 'importKey' || when !== 'after') return;
      await acme.delete('k1');
      await acme.create({ keyId: 'k1' });
    };
    await expect(acme.move('k1', { to: 'vault', import: true })).rejects.toMatchObject({
      code: 'ERR_KMS_KEY_NOT_USABLE',
    });
    const later = await acme.get('k1');
    expect([main.ids(), vault.ids(), await copies()]).toEqual([[later.externalId], [], []]);
  });

  it('imports nothing where another key is given out than the recorded one', async () => {
    const { acme } = fixture;
    const [, other] = [await acme.create({ keyId: 'k1' }), await acme.create({ keyId: 'k2' })];
    await fixture.knex('kms_keys').where({ key_id: 'k1' }).update({ external_id: other.externalId });
    const vault = fixture.backend('vault');
    await expect(acme.move('k1', { to: 'vault', import: true })).rejects.toMatchObject({
      code: 'ERR_KMS_KEY_MISMATCH',
    });
    expect(vault.calls).toEqual([]);
    expect(await copies()).toEqual([]);
  });

  it('is deleted everywhere when it is deleted while it is moved', async () => {
    const { acme, main } = fixture;
    await acme.create({ keyId: 'k1' });
    const vault = fixture.backend('vault');
    vault.step = async (operation, when) => {
      if (operation === 'importKey' && when === 'after') await fixture.reopen().tenant('acme').delete('k1');
    };
    await expect(acme.move('k1', { to: 'vault', import: true })).rejects.toMatchObject({
      code: 'ERR_KMS_KEY_NOT_USABLE',
    });
    expect([main.ids(), vault.ids(), await fixture.rows(), await copies()]).toEqual([[], [], [], []]);
  });

  it('refuses where the providers cannot, and what cannot be asked', async () => {
    const { acme } = fixture;
    await acme.create({ keyId: 'k1' });
    await acme.create({ keyId: 'k2', provider: 'eternal' });
    const refusals = [
      ['ERR_KMS_UNSUPPORTED', acme.move('k2', { to: 'vault', import: true })],
      ['ERR_KMS_PROVIDER_UNKNOWN', acme.move('k1', { to: 'nowhere', import: true })],
      ['ERR_KMS_KEY_NOT_FOUND', acme.move('k9', { to: 'vault', import: true })],
      ['ERR_KMS_KEY_NOT_FOUND', fixture.keys.tenant('globex').move('k1', { to: 'vault', import: true })],
      ['ERR_KMS_INVALID_ARGUMENT', acme.move('k1', { to: 'main', import: true })],
      ['ERR_KMS_INVALID_ARGUMENT', acme.move('k1', { to: 'vault' } as never)],
      ['ERR_KMS_INVALID_ARGUMENT', acme.move('k1', { to: 'vault', import: true, externalId: 'x' } as never)],
      ['ERR_KMS_INVALID_ARGUMENT', acme.move('k1', { to: 'vault', import: 'yes' } as never)],
      ['ERR_KMS_INVALID_ARGUMENT', acme.move('k1', undefined as never)],
    ] as const;
    const ended = await Promise.allSettled(refusals.map(([, call]) => call));
    expect(ended.map((one) => (one.status === 'rejected' ? (one.reason as { code: string }).code : 'none'))).toEqual(
      refusals.map(([code]) => code),
    );
    expect(await copies()).toEqual([]);
  });
});
