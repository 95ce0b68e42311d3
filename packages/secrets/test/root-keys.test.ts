import { createKeyring, generateKeyBase64, type KeyWrapper, KeywrightError } from '@keywright/envelope';
import type { KeyProgress } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { auditRows, type Fixture, openFixture, rejection, wrapperOf } from './support.ts';

describeEachEngine('root keys', (engine) => {
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

  it('refuses another key under a known id, by name, before anything is written', async () => {
    await fixture.tenant('acme').save('key', 'x');
    const wrong = fixture.reopen(createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' }));
    const before = await fixture.knex('secret_audit_log').select('id');
    for (const attempt of [
      () => wrong.ready(),
      () => wrong.tenant('acme', { actor: 'x' }).get('key'),
      () => wrong.tenant('acme', { actor: 'x' }).save('other', 'y'),
      () => wrong.rotateRoot({ actor: 'x' }),
    ]) {
      expect(await rejection(attempt())).toMatchObject({ code: 'ERR_SECRETS_ROOT_KEY_WRONG', context: { kid: 'v1' } });
    }
    expect(await fixture.knex('secret_audit_log').select('id')).toEqual(before);
  });

  it('refuses a keyring that lacks a root key in use', async () => {
    await fixture.tenant('acme').save('key', 'x');
    const other = fixture.reopen(createKeyring({ keys: { v2: generateKeyBase64() }, activeKid: 'v2' }));
    expect(await rejection(other.ready())).toMatchObject({
      code: 'ERR_SECRETS_ROOT_KEY_MISSING',
      context: { kid: 'v1' },
    });
  });

  it('rotates: everything stays readable, the old key may go, the new one alone suffices', async () => {
    for (let index = 0; index < 120; index++) await fixture.tenant(`t${index}`).save('key', `value ${index}`);
    const v2 = generateKeyBase64();
    const both = createKeyring({ keys: { ...fixture.keys, v2 }, activeKid: 'v2' });
    const store = fixture.reopen(both);
    expect((await store.tenant('t7', { actor: 'x' }).get('key')).value).toBe('value 7');
    const progress: KeyProgress[] = [];
    const ciphertexts = await fixture.knex('secret_versions').select('tenant_id', 'ciphertext', 'wrapped_dek');

    expect(await store.rotateRoot({ actor: 'operator', dryRun: true })).toMatchObject({ rewrapped: 0, pending: 121 });
    const onProgress = (seen: KeyProgress): void => void progress.push(seen);
    const rotation = await store.rotateRoot({ actor: 'operator', batchRows: 100, onProgress });

    expect(rotation).toEqual({ kid: 'v2', rewrapped: 121, retired: ['v1'] });
    expect(progress).toMatchObject([
      { phase: 'tenant-keys', done: 100, total: 121, batch: 100 },
      { phase: 'tenant-keys', done: 121, total: 121, batch: 21 },
    ]);
    expect(await fixture.knex('secret_versions').select('tenant_id', 'ciphertext', 'wrapped_dek')).toEqual(ciphertexts);
    const alone = fixture.reopen(createKeyring({ keys: { v2 }, activeKid: 'v2' }));
    for (const index of [0, 60, 119]) {
      expect((await alone.tenant(`t${index}`, { actor: 'x' }).get('key')).value).toBe(`value ${index}`);
    }
    const actions = (await auditRows(fixture.knex, '$system')).map(({ action, actor }) => `${action} ${actor}`);
    expect(actions).toEqual([
      'tenant-key.create $system',
      'root.rewrap operator',
      'root.rewrap operator',
      'root.rotate operator',
    ]);
    expect(await store.rotateRoot({ actor: 'operator' })).toEqual({ kid: 'v2', rewrapped: 0, retired: [] });
  });

  it('goes on where a rotation was cut off', async () => {
    for (let index = 0; index < 150; index++) await fixture.tenant(`t${index}`).save('key', `value ${index}`);
    const both = createKeyring({ keys: { ...fixture.keys, v2: generateKeyBase64() }, activeKid: 'v2' });
    const store = fixture.reopen(both);
    const abort = new AbortController();
    const options = { actor: 'x', batchRows: 100, signal: abort.signal };
    const cut = store.rotateRoot({ ...options, onProgress: () => abort.abort() });
    expect((await rejection(cut)).name).toBe('SecretsError');
    for (const index of [0, 149]) {
      expect((await store.tenant(`t${index}`, { actor: 'x' }).get('key')).value).toBe(`value ${index}`);
    }
    expect(await store.rotateRoot({ actor: 'x' })).toMatchObject({ rewrapped: 51, retired: ['v1'] });
  });

  it('rewraps a tenant key that another process makes under the old key meanwhile', async () => {
    await fixture.tenant('first').save('key', 'x');
    const both = createKeyring({ keys: { ...fixture.keys, v2: generateKeyBase64() }, activeKid: 'v2' });
    const late = { done: false };
    const wrapper: KeyWrapper = {
      provider: 'keyring',
      activeKid: 'v2',
      wrapKey: async (key, options) => {
        if (!late.done) {
          late.done = true;
          await fixture.tenant('0-before-the-cursor').save('key', 'late');
        }
        return await both.wrapKey(key, options);
      },
      unwrapKey: (wrapped, options) => both.unwrapKey(wrapped, options),
      checkValue: (kid) => both.checkValue(kid),
      verifyCheckValue: (kid, value) => both.verifyCheckValue(kid, value),
    };
    expect(await fixture.reopen(wrapper).rotateRoot({ actor: 'x' })).toMatchObject({ rewrapped: 3, retired: ['v1'] });
    expect(await fixture.knex('secret_tenant_keys').whereNot({ root_kid: 'v2' })).toEqual([]);
  });

  describe('a root key held elsewhere', () => {
    const remote = (root: KeyWrapper, change: Partial<KeyWrapper>): KeyWrapper =>
      wrapperOf(root, { provider: 'test-kms', ...change });

    it('is asked once per tenant, not once per secret, and never while the store has a transaction open', async () => {
      const inTransaction = () => fixture.knex.client.pool?.numUsed() ?? 0;
      const used: number[] = [];
      const wrapKey = vi.fn<KeyWrapper['wrapKey']>((key, options) => {
        used.push(inTransaction());
        return fixture.root.wrapKey(key, options);
      });
      const unwrapKey = vi.fn<KeyWrapper['unwrapKey']>((wrapped, options) => {
        used.push(inTransaction());
        return fixture.root.unwrapKey(wrapped, options);
      });
      const store = fixture.reopen(remote(fixture.root, { wrapKey, unwrapKey }));
      const tenant = store.tenant('acme', { actor: 'x' });
      for (let index = 0; index < 5; index++) await tenant.save(`key ${index}`, 'x');
      for (let index = 0; index < 5; index++) await tenant.get(`key ${index}`);
      // one for the store's own tenant, one for acme
      expect(wrapKey).toHaveBeenCalledTimes(2);
      expect(unwrapKey).toHaveBeenCalledTimes(2);
      expect(used.every((count) => count === 0)).toBe(true);
    });

    it('is asked for no more than the key itself in the middle of a transaction', async () => {
      await fixture.store.ready();
      const verifyCheckValue = vi.fn<KeyWrapper['verifyCheckValue']>((kid, value) =>
        fixture.root.verifyCheckValue(kid, value),
      );
      const store = fixture.reopen(remote(fixture.root, { verifyCheckValue }));
      await store.ready();
      expect(verifyCheckValue).toHaveBeenCalledTimes(1);
      await fixture.knex.transaction((trx) => store.tenant('acme', { actor: 'x', trx }).save('key', 'x'));
      expect(verifyCheckValue).toHaveBeenCalledTimes(1);
    });

    it('that fails gives a typed, retryable, audited error without its text', async () => {
      await fixture.tenant('acme').save('key', 'x');
      let down = false;
      const unwrapKey: KeyWrapper['unwrapKey'] = async (wrapped, options) => {
        if (down) throw new Error('connect https://user:pass@kms.internal refused');
        return await fixture.root.unwrapKey(wrapped, options);
      };
      const store = fixture.reopen(remote(fixture.root, { unwrapKey }));
      await store.ready();
      down = true;
      const error = await rejection(store.tenant('acme', { actor: 'x' }).get('key'));
      expect(error).toMatchObject({ code: 'ERR_SECRETS_ROOT_UNAVAILABLE', retryable: true });
      expect(JSON.stringify([error, String(error.cause)])).not.toContain('kms.internal');
      expect((await auditRows(fixture.knex, 'acme')).at(-1)).toMatchObject({ outcome: 'refused' });
      down = false;
      expect((await store.tenant('acme', { actor: 'x' }).get('key')).value).toBe('x');
    });

    it('that does not answer at start-up, or denies, is an error of its own', async () => {
      const hang = fixture.reopen(remote(fixture.root, { verifyCheckValue: () => new Promise(() => undefined) }), {
        rootTimeoutMs: 50,
      });
      await fixture.store.ready();
      expect(await rejection(hang.ready())).toMatchObject({ code: 'ERR_SECRETS_ROOT_UNAVAILABLE', retryable: true });
      const deny = remote(fixture.root, { verifyCheckValue: () => Promise.reject(new Error('AccessDenied')) });
      expect(await rejection(fixture.reopen(deny).ready())).toMatchObject({ code: 'ERR_SECRETS_ROOT_UNAVAILABLE' });
    });

    it.each([true, false])(
      'that has typed errors of its own is unavailable by their cause: retryable %s',
      async (retryable) => {
        let down = false;
        const fail = (): Promise<never> => Promise.reject(new ElsewhereError(retryable));
        await fixture.tenant('acme').save('key', 'x');
        const wanted = { code: 'ERR_SECRETS_ROOT_UNAVAILABLE', retryable, cause: { code: 'ERR_ELSEWHERE_DENIED' } };
        const store = fixture.reopen(
          remote(fixture.root, {
            wrapKey: (key, options) => (down ? fail() : fixture.root.wrapKey(key, options)),
            unwrapKey: (wrapped, options) => (down ? fail() : fixture.root.unwrapKey(wrapped, options)),
          }),
        );
        await store.ready();
        down = true;
        const tenant = store.tenant('acme', { actor: 'x' });
        expect(await rejection(tenant.get('key'))).toMatchObject(wanted);
        expect(await rejection(store.tenant('new', { actor: 'x' }).save('key', 'y'))).toMatchObject(wanted);
        expect((await auditRows(fixture.knex, 'acme')).at(-1)).toMatchObject({ outcome: 'refused' });
        const unanswered = fixture.reopen(remote(fixture.root, { verifyCheckValue: fail }));
        expect(await rejection(unanswered.ready())).toMatchObject(wanted);
      },
    );

    it.each([
      ['even if it ignores its signal', () => {}],
      ['whatever it says to its signal', (reject: (error: Error) => void) => reject(new ElsewhereError())],
    ])('that does not answer is given up on, %s', async (_, abort) => {
      await fixture.tenant('acme').save('key', 'x');
      let hang = false;
      const unwrapKey: KeyWrapper['unwrapKey'] = (wrapped, options) =>
        hang
          ? new Promise((_resolve, reject) => options.signal?.addEventListener('abort', () => abort(reject)))
          : fixture.root.unwrapKey(wrapped, options);
      const store = fixture.reopen(remote(fixture.root, { unwrapKey }), { rootTimeoutMs: 50 });
      await store.ready();
      hang = true;
      expect(await rejection(store.tenant('acme', { actor: 'x' }).get('key'))).toMatchObject({
        code: 'ERR_SECRETS_ROOT_UNAVAILABLE',
        retryable: true,
      });
    });
  });
});

class ElsewhereError extends KeywrightError<'ERR_ELSEWHERE_DENIED'> {
  constructor(retryable = false) {
    super('ERR_ELSEWHERE_DENIED', 'The key is disabled.', retryable, {});
  }
}
