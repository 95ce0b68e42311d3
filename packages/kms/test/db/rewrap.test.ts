import { setTimeout as sleep } from 'node:timers/promises';
import { createKeyring, generateKeyBase64, type Keyring, type KeyWrapper } from '@keywright/envelope';
import { type KmsKey, rewrapSoftwareKeys, type SignAlg, verifySignature } from '@keywright/kms';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type DbFixture, openDbFixture } from './fixture.ts';

const DATA = Buffer.from('data');
const ALGS: readonly SignAlg[] = ['ES256', 'ES384', 'ES512', 'EdDSA'];

describeEachEngine('rewrapSoftwareKeys', (engine) => {
  let fixture: DbFixture;
  let root: Keyring;
  let keys: readonly KmsKey[];
  beforeAll(async () => {
    fixture = await openDbFixture(engine);
  });
  beforeEach(async () => {
    await fixture.knex('kms_software_keys').delete();
    root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
    const providers = [fixture.open({ id: 'db2', root }), fixture.open({ root })] as const;
    keys = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        providers[index % 3 === 0 ? 0 : 1].createKey({
          tenantId: index % 2 === 0 ? 'acme' : 'globex',
          keyId: `k${index}`,
          alg: ALGS[index % 4],
        }),
      ),
    );
    root.add('v2', generateKeyBase64());
    root.activate('v2');
  });
  afterAll(() => fixture.close());

  const kids = async (): Promise<readonly string[]> =>
    [...new Set<string>(await fixture.knex('kms_software_keys').pluck('root_kid'))].sort();
  const signAll = async (): Promise<void> => {
    for (const key of keys) {
      const signature = await fixture.open({ id: key.providerId, root }).sign(key, DATA);
      expect(verifySignature(key.alg, key.publicJwk, DATA, signature)).toBe(true);
    }
  };

  it('puts all keys under the active root key, so that the old one can be dropped', async () => {
    const before = await fixture.knex('kms_software_keys').orderBy('external_id').pluck('sealed_key');
    const progress: number[] = [];
    const onProgress = (rewrapped: number): void => void progress.push(rewrapped);
    const done = await rewrapSoftwareKeys({ knex: fixture.knex, root, batchRows: 5, onProgress });
    expect(done).toEqual({ kid: 'v2', rewrapped: 12, remaining: 0, damaged: [] });
    expect(progress).toEqual([5, 10, 12]);
    expect(await kids()).toEqual(['v2']);
    expect(await fixture.knex('kms_software_keys').orderBy('external_id').pluck('sealed_key')).toEqual(before);
    root.destroy('v1');
    await signAll();
    const again = await rewrapSoftwareKeys({ knex: fixture.knex, root });
    expect(again).toMatchObject({ rewrapped: 0, remaining: 0 });
  });

  it('can be stopped between batches and run again; keys sign at every moment', async () => {
    const stop = new AbortController();
    const work = { knex: fixture.knex, root, batchRows: 5 };
    const stopped = rewrapSoftwareKeys({ ...work, signal: stop.signal, onProgress: () => stop.abort() });
    await expect(stopped).rejects.toMatchObject({ code: 'ERR_KMS_ABORTED', context: { count: 5 } });
    expect(await kids()).toEqual(['v1', 'v2']);
    await signAll();
    expect(await rewrapSoftwareKeys(work)).toMatchObject({ rewrapped: 7, remaining: 0 });
    await signAll();
  });

  it('takes keys of one provider only where it is asked to', async () => {
    const done = await rewrapSoftwareKeys({ knex: fixture.knex, root, providerId: 'db2' });
    expect(done).toMatchObject({ rewrapped: 4, remaining: 0 });
    const left = await fixture.knex('kms_software_keys').where({ root_kid: 'v1' }).pluck('provider_id');
    expect(new Set(left)).toEqual(new Set(['db']));
  });

  it('leaves what does not open as it is, names it and says what remains', async () => {
    const [damaged] = keys as [KmsKey];
    const { tenantId, providerId, externalId } = damaged;
    const row = { tenant_id: tenantId, provider_id: providerId, external_id: externalId };
    await fixture
      .knex('kms_software_keys')
      .where(row)
      .update({ wrapped_key: Buffer.from('damaged') });
    const done = await rewrapSoftwareKeys({ knex: fixture.knex, root, batchRows: 3 });
    expect(done).toEqual({ kid: 'v2', rewrapped: 11, remaining: 1, damaged: [{ tenantId, providerId, externalId }] });
    expect(await fixture.knex('kms_software_keys').where(row).first()).toMatchObject({ root_kid: 'v1' });
  });

  it('writes nothing that does not come back, and nothing over a row that changed meanwhile', async () => {
    const { knex } = fixture;
    const broken: KeyWrapper = {
      provider: 'test',
      activeKid: 'v2',
      wrapKey: async (key, options) => {
        const wrapped = await root.wrapKey(key, options);
        return { kid: wrapped.kid, wrapped: wrapped.wrapped.subarray(1) };
      },
      unwrapKey: (wrapped, options) => root.unwrapKey(wrapped, options),
      checkValue: (kid) => root.checkValue(kid),
      verifyCheckValue: (kid, value) => root.verifyCheckValue(kid, value),
    };
    // As one that wipes what it returned answers: it would take zeros for a key that came back.
    const wiped: KeyWrapper = { ...broken, wrapKey: (key, options) => root.wrapKey(key, options) };
    wiped.unwrapKey = async () => new Uint8Array(32);
    for (const wrapper of [broken, wiped]) {
      expect(await rewrapSoftwareKeys({ knex, root: wrapper })).toMatchObject({ rewrapped: 0, remaining: 12 });
    }
    expect(await kids()).toEqual(['v1']);

    // Another process rewraps the same keys at the same time: each is written once, and none is lost.
    const [first, second] = await Promise.all([
      rewrapSoftwareKeys({ knex, root, batchRows: 4 }),
      rewrapSoftwareKeys({ knex, root, batchRows: 4 }),
    ]);
    expect(first.rewrapped + second.rewrapped).toBe(12);
    await fixture.open({ root }).createKey({ tenantId: 'acme', keyId: 'late' });
    root.destroy('v1');
    await signAll();
  });

  /** Does something once, just before the root key is asked to unwrap. */
  const beforeUnwrap = (work: () => Promise<void>): KeyWrapper => ({
    provider: 'test',
    get activeKid() {
      return root.activeKid;
    },
    wrapKey: (key, options) => root.wrapKey(key, options),
    async unwrapKey(wrapped, options) {
      const once = work;
      work = async () => {};
      await once();
      return await root.unwrapKey(wrapped, options);
    },
    checkValue: (kid) => root.checkValue(kid),
    verifyCheckValue: (kid, value) => root.verifyCheckValue(kid, value),
  });
  const rewrapAll = async (): Promise<void> => {
    expect(await rewrapSoftwareKeys({ knex: fixture.knex, root })).toMatchObject({ remaining: 0 });
  };

  it('misses no key that is made meanwhile: it is under the new root key before anybody hears of it', async () => {
    await rewrapAll();
    root.add('v3', generateKeyBase64());
    const rotating = beforeUnwrap(async () => {
      root.activate('v3');
      await rewrapAll();
    });
    const key = await fixture.open({ root: rotating }).createKey({ tenantId: 'acme', keyId: 'late' });
    expect(await kids()).toEqual(['v3']);
    root.destroy('v2');
    const signature = await fixture.open({ root }).sign(key, DATA);
    expect(verifySignature('ES256', key.publicJwk, DATA, signature)).toBe(true);
  });

  it('lets a key sign whose old root key is dropped between the reading of its row and its opening', async () => {
    const dropping = beforeUnwrap(async () => {
      await rewrapAll();
      root.destroy('v1');
    });
    const [key] = keys as [KmsKey];
    const signature = await fixture.open({ id: key.providerId, root: dropping }).sign(key, DATA);
    expect(verifySignature(key.alg, key.publicJwk, DATA, signature)).toBe(true);
  });

  it('writes in one order whatever order the root key answers in, so that two at once don’t end each other', async () => {
    let calls = 0;
    const reversing: KeyWrapper = {
      ...beforeUnwrap(async () => {}),
      wrapKey: async (key, options) => {
        const copy = Uint8Array.from(key);
        await sleep(8 * (8 - (calls++ % 8)));
        return await root.wrapKey(copy, options);
      },
    };
    const ids = new Set(keys.map(({ externalId }) => externalId));
    const written: unknown[] = [];
    const hear = ({ method, bindings }: { method: string; bindings: readonly unknown[] }): void => {
      if (method === 'update') written.push(bindings.find((value) => ids.has(value as string)));
    };
    fixture.knex.on('query', hear);
    await rewrapSoftwareKeys({ knex: fixture.knex, root: reversing });
    fixture.knex.removeListener('query', hear);
    const order = ['tenant_id', 'provider_id', 'external_id'];
    expect(written).toEqual(await fixture.knex('kms_software_keys').orderBy(order).pluck('external_id'));
  });

  it('refuses what is no root key and no signal', async () => {
    const { knex } = fixture;
    for (const [over, argument] of [
      [{ root: undefined }, 'root'],
      [{ root: { activeKid: 'v2' } }, 'root'],
      [{ signal: 'now' }, 'signal'],
      [{ batchRows: 0 }, 'batchRows'],
      [{ knex: undefined }, 'knex'],
    ] as const) {
      const refused = rewrapSoftwareKeys({ knex, root, ...(over as object) });
      await expect(refused).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT', context: { argument } });
    }
  });

  it('ends with the root key’s own error where that is away, typed', async () => {
    const { knex } = fixture;
    const away: KeyWrapper = {
      provider: 'test',
      activeKid: 'v2',
      wrapKey: (key, options) => root.wrapKey(key, options),
      unwrapKey: () => Promise.reject(new Error('connection reset')),
      checkValue: (kid) => root.checkValue(kid),
      verifyCheckValue: (kid, value) => root.verifyCheckValue(kid, value),
    };
    const failed = rewrapSoftwareKeys({ knex, root: away });
    await expect(failed).rejects.toMatchObject({ code: 'ERR_KMS_UNAVAILABLE', retryable: true });
    await signAll();
  });
});
