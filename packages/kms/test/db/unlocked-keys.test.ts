import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createKeyring, type KeyWrapper } from '@keywright/envelope';
import { type KmsProvider, verifySignature } from '@keywright/kms';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generatePrivateKey, type KeyPair, keyPairOf } from '../../src/providers/db/key-pair.ts';
import { UnlockedKeys } from '../../src/providers/db/unlocked-keys.ts';
import { type DbFixture, openDbFixture } from './fixture.ts';

const DATA = Buffer.from('data');
const NOT_FOUND = expect.objectContaining({ code: 'ERR_KMS_KEY_NOT_FOUND' });

/** A root key that answers as `root` does, counted, and when it is let. */
function slowRoot(root: KeyWrapper): KeyWrapper & { unwraps: number; release(): void; hold(): void } {
  let gate = Promise.withResolvers<void>();
  gate.resolve();
  return {
    unwraps: 0,
    provider: 'test',
    activeKid: root.activeKid,
    hold() {
      gate = Promise.withResolvers<void>();
    },
    release: () => gate.resolve(),
    wrapKey: (key, options) => root.wrapKey(key, options),
    async unwrapKey(wrapped, options) {
      this.unwraps++;
      await gate.promise;
      return await root.unwrapKey(wrapped, options);
    },
    checkValue: (kid) => root.checkValue(kid),
    verifyCheckValue: (kid, value) => root.verifyCheckValue(kid, value),
  };
}

describeEachEngine('unlocked software keys', (engine) => {
  let fixture: DbFixture;
  beforeAll(async () => {
    fixture = await openDbFixture(engine);
  });
  afterAll(() => fixture.close());

  const make = (provider: KmsProvider = fixture.provider) => provider.createKey({ tenantId: 'acme', keyId: 'k1' });

  it('sign from memory: no statement and no question to the root key for a second signature', async () => {
    const root = slowRoot(fixture.root);
    const provider = fixture.open({ root, recheckMs: 60_000 });
    const key = await make(provider);
    await provider.sign(key, DATA);
    const [statements, unwraps] = [fixture.statements(), root.unwraps];
    for (let index = 0; index < 20; index++) await provider.sign(key, DATA);
    expect([fixture.statements(), root.unwraps]).toEqual([statements, unwraps]);
  });

  it('are unlocked once for all who wait for the same key', async () => {
    const root = slowRoot(fixture.root);
    const provider = fixture.open({ root });
    const key = await make(provider);
    const before = root.unwraps;
    const signatures = await Promise.all(Array.from({ length: 50 }, () => provider.sign(key, DATA)));
    expect(root.unwraps - before).toBe(1);
    for (const signature of signatures) expect(verifySignature('ES256', key.publicJwk, DATA, signature)).toBe(true);
  });

  it('stop signing at once when they are deleted here, also for who waits', async () => {
    const root = slowRoot(fixture.root);
    const provider = fixture.open({ root, recheckMs: 60_000 });
    const key = await make(provider);
    await provider.sign(key, DATA);
    await provider.deleteKey(key);
    await expect(provider.sign(key, DATA)).rejects.toEqual(NOT_FOUND);

    const other = await make(provider);
    root.hold();
    const waiting = provider.sign(other, DATA);
    const refused = expect(waiting).rejects.toEqual(NOT_FOUND);
    await sleep(20);
    await provider.deleteKey(other);
    root.release();
    await refused;
    await expect(provider.sign(other, DATA)).rejects.toEqual(NOT_FOUND);
  });

  it('do not come back by a call that read the row while the delete waited for it', async () => {
    if (engine.name !== 'postgres') return; // SQLite lets nobody read and delete at once
    const root = slowRoot(fixture.root);
    const provider = fixture.open({ root, recheckMs: 60_000 });
    const key = await make(provider);
    root.hold();
    const calls = await fixture.knex.transaction(async (trx) => {
      await trx('kms_software_keys').where({ external_id: key.externalId }).forUpdate();
      const deleting = provider.deleteKey(key);
      const before = root.unwraps;
      const refused = expect(provider.sign(key, DATA)).rejects.toEqual(NOT_FOUND);
      while (root.unwraps === before) await sleep(1);
      return [deleting, refused] as const;
    });
    await calls[0];
    root.release();
    await calls[1];
    await expect(provider.sign(key, DATA)).rejects.toEqual(NOT_FOUND);
  });

  it('stop signing within recheckMs when another process deletes them, and at once with 0', async () => {
    const [provider, strict, other] = [
      fixture.open({ recheckMs: 150 }),
      fixture.open({ recheckMs: 0 }),
      fixture.open(),
    ];
    const key = await make(provider);
    await Promise.all([provider.sign(key, DATA), strict.sign(key, DATA)]);
    const deleted = performance.now();
    await other.deleteKey(key);
    await expect(strict.sign(key, DATA)).rejects.toEqual(NOT_FOUND);
    const until = async (): Promise<number> => {
      for (;;) {
        try {
          await provider.sign(key, DATA);
        } catch (error) {
          expect(error).toEqual(NOT_FOUND);
          return performance.now();
        }
        await sleep(5);
      }
    };
    expect((await until()) - deleted).toBeLessThan(1_000);
    await expect(provider.sign(key, DATA)).rejects.toEqual(NOT_FOUND);
  });

  it('do not sign past recheckMs while the database is away, and sign again when it is back', async () => {
    const provider = fixture.open({ recheckMs: 0 });
    const key = await make(provider);
    await provider.sign(key, DATA);
    await fixture.knex.schema.renameTable('kms_software_keys', 'kms_elsewhere');
    try {
      await expect(provider.sign(key, DATA)).rejects.toMatchObject({ code: 'ERR_KMS_NOT_MIGRATED' });
      expect(await provider.health()).toMatchObject({ ok: false, code: 'ERR_KMS_NOT_MIGRATED' });
    } finally {
      await fixture.knex.schema.renameTable('kms_elsewhere', 'kms_software_keys');
    }
    await expect(provider.sign(key, DATA)).resolves.toBeInstanceOf(Uint8Array);
    expect(await provider.health()).toMatchObject({ ok: true });
  });

  it('are refused in time by a root key that does not answer, and one caller’s signal ends nobody else’s call', async () => {
    const root = slowRoot(fixture.root);
    const provider = fixture.open({ root, unlockTimeoutMs: 300 });
    const key = await make(provider);
    root.hold();
    const start = performance.now();
    const aborted = provider.sign(key, DATA, { signal: AbortSignal.timeout(20) });
    const hasty = provider.sign(key, DATA, { timeoutMs: 50 });
    const patient = provider.sign(key, DATA);
    await expect(aborted).rejects.toMatchObject({ code: 'ERR_KMS_ABORTED' });
    await expect(hasty).rejects.toMatchObject({ code: 'ERR_KMS_TIMEOUT' });
    expect(performance.now() - start).toBeLessThan(250);
    await expect(patient).rejects.toMatchObject({ code: 'ERR_KMS_TIMEOUT', retryable: true });
    root.release();
    await expect(provider.sign(key, DATA)).resolves.toBeInstanceOf(Uint8Array);
  });

  it('are not stored any more when who made them has given up', async () => {
    const root = slowRoot(fixture.root);
    const provider = fixture.open({ id: 'late', root });
    root.hold();
    const call = provider.createKey({ tenantId: 'acme', keyId: 'k1' }, { timeoutMs: 50 });
    await expect(call).rejects.toMatchObject({ code: 'ERR_KMS_TIMEOUT' });
    root.release();
    await sleep(50);
    expect((await provider.listKeys()).keys).toEqual([]);
  });

  it('are waited for no longer when the provider is closed', async () => {
    const root = slowRoot(fixture.root);
    const provider = fixture.open({ root });
    const key = await make(provider);
    root.hold();
    const waiting = [provider.sign(key, DATA), make(provider), provider.exportKey(key)];
    const refused = Promise.all(waiting.map((call) => expect(call).rejects.toMatchObject({ code: 'ERR_KMS_CLOSED' })));
    const start = performance.now();
    await sleep(20);
    await provider.close();
    await refused;
    expect(performance.now() - start).toBeLessThan(1_000);
    root.release();
  });

  it('are never stored under a root key that does not give them back', async () => {
    const zeros: KeyWrapper = { ...slowRoot(fixture.root), unwrapKey: async () => new Uint8Array(32) };
    const foreign = createKeyring({ keys: { v1: Buffer.alloc(32, 7) }, activeKid: 'v1' });
    const other: KeyWrapper = { ...slowRoot(fixture.root), wrapKey: (key, options) => foreign.wrapKey(key, options) };
    const rows = async (): Promise<number> => Number((await fixture.knex('kms_software_keys').count({ n: '*' }))[0]?.n);
    const before = await rows();
    const wrong: KeyWrapper = { ...slowRoot(fixture.root), unwrapKey: async () => new Uint8Array(32).fill(1) };
    for (const root of [zeros, wrong, other]) {
      await expect(make(fixture.open({ id: 'fresh', root }))).rejects.toMatchObject({ code: 'ERR_KMS_INTEGRITY' });
    }
    const failing: KeyWrapper = { ...slowRoot(fixture.root), wrapKey: () => Promise.reject(new Error('secret text')) };
    const refused = make(fixture.open({ root: failing })).catch((error: Error) => error);
    expect(await refused).toMatchObject({ code: 'ERR_KMS_UNAVAILABLE' });
    expect(JSON.stringify(await refused) + ((await refused) as Error).stack).not.toContain('secret text');
    expect(await rows()).toBe(before);
  });
});

describe('keys in memory', () => {
  const addresses = ['a', 'b', 'c', 'd', 'e'];
  const openCache = async (options: { maxKeys: number; ttlMs: number; recheckMs: number }) => {
    const privateKey = await generatePrivateKey('EdDSA');
    const loads: string[] = [];
    const load = async (address: string): Promise<KeyPair> => {
      loads.push(address);
      return keyPairOf('EdDSA', privateKey);
    };
    const row = { exists: true, looked: Promise.resolve() };
    const exists = async (): Promise<boolean> => {
      await row.looked;
      return row.exists;
    };
    return { loads, row, keys: new UnlockedKeys({ load, exists }, options) };
  };

  it('are bounded: the least recently used go first', async () => {
    const { keys, loads } = await openCache({ maxKeys: 2, ttlMs: 60_000, recheckMs: 60_000 });
    for (const address of addresses) await keys.get(address, address);
    expect(addresses.filter((address) => keys.recall(address) !== undefined).length).toBeLessThanOrEqual(4);
    expect(keys.recall('a')).toBeUndefined();
    expect(loads).toEqual(addresses);
    keys.close();
  });

  it('go when their time is up, however often they are used, and are loaded again', async () => {
    const { keys, loads } = await openCache({ maxKeys: 9, ttlMs: 60, recheckMs: 5 });
    // Never unused for as long as its time: it goes all the same.
    const end = performance.now() + 5_000;
    while (loads.length < 2 && performance.now() < end) {
      await keys.get('a', 'a');
      await sleep(5);
    }
    expect(loads.length).toBe(2);
    await sleep(80);
    expect(keys.recall('a')).toBeUndefined();
    keys.close();
  });

  it('leave memory when their time is up, though nobody asks for them', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const { keys } = await openCache({ maxKeys: 9, ttlMs: 20, recheckMs: 60_000 });
    const held = new WeakRef(await keys.get('a', 'a'));
    await sleep(60);
    collect();
    expect(held.deref()).toBeUndefined();
    keys.close();
  });

  it('stay out when they were pushed out while their row was looked up: their time would begin anew', async () => {
    const { keys, loads, row } = await openCache({ maxKeys: 1, ttlMs: 60_000, recheckMs: 0 });
    await keys.get('a', 'a');
    const looked = Promise.withResolvers<void>();
    row.looked = looked.promise;
    const waiting = keys.get('a', 'a');
    for (const address of ['b', 'c', 'd']) await keys.get(address, address);
    looked.resolve();
    await waiting;
    await keys.get('a', 'a');
    expect(loads).toEqual(['a', 'b', 'c', 'd', 'a']);
    keys.close();
  });

  it('are dropped from memory when their row is found gone', async () => {
    const { keys, loads, row } = await openCache({ maxKeys: 9, ttlMs: 60_000, recheckMs: 0 });
    await keys.get('a', 'a');
    await keys.get('a', 'a');
    expect(loads).toEqual(['a']);
    row.exists = false;
    await expect(keys.get('a', 'a')).rejects.toEqual(NOT_FOUND);
    row.exists = true;
    await keys.get('a', 'a');
    expect(loads).toEqual(['a', 'a']);
    keys.close();
  });

  it('are gone when the provider is closed, and what is on its way is not handed out', async () => {
    const { keys } = await openCache({ maxKeys: 9, ttlMs: 60_000, recheckMs: 60_000 });
    await keys.get('a', 'a');
    const pending = keys.get('b', 'b');
    keys.close();
    expect(keys.recall('a')).toBeUndefined();
    await expect(pending).rejects.toEqual(NOT_FOUND);
    expect(keys.recall('b')).toBeUndefined();
  });
});
