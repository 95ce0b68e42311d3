import { verifySignature } from '@keywright/kms';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type KeyFixture, openKeys, rejection } from '../support/key-fixture.ts';

const DATA = Buffer.from('data to be signed');

describeEachEngine('deleting keys', (engine) => {
  let fixture: KeyFixture;
  beforeAll(async () => {
    fixture = await openKeys(engine, { main: {}, eternal: { deletes: false } });
  });
  afterEach(() => fixture.empty());
  afterAll(() => fixture?.close());

  it('deletes the key in its backend, then the row, and the id is free', async () => {
    const { acme, main } = fixture;
    const key = await acme.create({ keyId: 'k1' });
    await acme.delete('k1');
    expect(main.ids()).toEqual([]);
    expect(await fixture.rows()).toEqual([]);
    for (const call of [() => acme.sign('k1', DATA), () => acme.sign(key, DATA), () => acme.delete('k1')]) {
      await expect(call()).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
    }
    expect((await acme.create({ keyId: 'k1' })).publicJwk).not.toEqual(key.publicJwk);
  });

  it('keeps the row and signs no more where the backend fails, and goes on when called again', async () => {
    const { acme, main } = fixture;
    await acme.create({ keyId: 'k1' });
    main.failAt('deleteKey', 'before', 'ERR_KMS_UNAVAILABLE', 2);
    for (const attempts of [1, 2]) {
      const error = await rejection(acme.delete('k1'));
      expect(error).toMatchObject({
        code: 'ERR_KMS_UNAVAILABLE',
        retryable: true,
        context: { tenantId: 'acme', keyId: 'k1', provider: 'main', state: 'deleting' },
      });
      const found = await acme.find('k1');
      expect(found).toMatchObject({ status: 'deleting', attempts, lastError: 'ERR_KMS_UNAVAILABLE' });
    }
    expect(main.ids()).toHaveLength(1);
    await expect(acme.sign('k1', DATA)).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_USABLE' });
    await expect(acme.create({ keyId: 'k1' })).rejects.toMatchObject({ code: 'ERR_KMS_KEY_EXISTS' });
    await acme.delete('k1');
    expect(main.ids()).toEqual([]);
    expect(await acme.find('k1')).toBeUndefined();
  });

  it('deletes what the backend had deleted without saying so', async () => {
    await fixture.acme.create({ keyId: 'k1' });
    fixture.main.failAt('deleteKey', 'after', 'ERR_KMS_TIMEOUT', 1);
    await expect(fixture.acme.delete('k1')).rejects.toMatchObject({ code: 'ERR_KMS_TIMEOUT' });
    expect(fixture.main.ids()).toEqual([]);
    await fixture.acme.delete('k1');
    expect(await fixture.rows()).toEqual([]);
  });

  it('leaves a key as it is whose provider deletes none', async () => {
    await fixture.acme.create({ keyId: 'k1', provider: 'eternal' });
    await expect(fixture.acme.delete('k1')).rejects.toMatchObject({ code: 'ERR_KMS_UNSUPPORTED' });
    await expect(fixture.acme.sign('k1', DATA)).resolves.toBeInstanceOf(Uint8Array);
  });

  it('refuses a key that is being made, and another tenant’s', async () => {
    const { acme, main } = fixture;
    main.failAt('createKey', 'after', 'ERR_KMS_TIMEOUT', 1);
    await rejection(acme.create({ keyId: 'k1' }));
    await expect(acme.delete('k1')).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_USABLE' });
    const key = await acme.create({ keyId: 'k2' });
    const globex = fixture.keys.tenant('globex');
    await expect(globex.delete('k2')).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
    await expect(globex.sign(key, DATA)).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
    await expect(globex.publicKey(key)).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
    const { publicJwk: _jwk, ...reference } = key;
    await expect(acme.publicKey(reference as never)).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
    expect(main.ids()).toHaveLength(2);
  });

  it('signs validly or not at all while the key is deleted by several', async () => {
    const { acme } = fixture;
    const key = await acme.create({ keyId: 'k1' });
    const tables = [fixture.reopen(), fixture.reopen()];
    const signing = Array.from({ length: 40 }, async (_, index) => {
      await new Promise((resolve) => setTimeout(resolve, index % 8));
      return await tables[index % 2]?.tenant('acme').sign('k1', DATA);
    });
    const deleting = [0, 1, 2].map(async (index) => {
      await new Promise((resolve) => setTimeout(resolve, 3));
      await tables[index % 2]?.tenant('acme').delete('k1');
    });
    const [signed, deleted] = await Promise.all([Promise.allSettled(signing), Promise.allSettled(deleting)]);
    for (const ended of signed) {
      if (ended.status === 'fulfilled') {
        expect(verifySignature('ES256', key.publicJwk, DATA, ended.value as Uint8Array)).toBe(true);
      } else {
        expect(['ERR_KMS_KEY_NOT_FOUND', 'ERR_KMS_KEY_NOT_USABLE']).toContain((ended.reason as { code: string }).code);
      }
    }
    for (const ended of deleted) {
      if (ended.status === 'rejected') expect(ended.reason).toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
    }
    expect(fixture.main.ids()).toEqual([]);
    expect(await fixture.rows()).toEqual([]);
  });
});
