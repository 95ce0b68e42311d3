import { createKeyring, generateKeyBase64, type Keyring, type KeyWrapper } from '@keywright/envelope';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { holdRootKey } from '../src/keys/root-keys.ts';
import { claimRotation, retireRootKeys } from '../src/keys/rotation-guard.ts';
import { createTables } from '../src/tables.ts';
import { auditRows, type Fixture, openFixture, rejection, wrapperOf } from './support.ts';

const ACTOR = { actor: 'operator' } as const;
const MINUTE = 60_000;
const tables = createTables(undefined);

describeEachEngine('a root rotation', (engine) => {
  let fixture: Fixture;
  let knex: Knex;
  let keys: Readonly<Record<string, string>>;
  const keyring = (activeKid: string): Keyring => createKeyring({ keys, activeKid });

  beforeAll(async () => {
    fixture = await openFixture(engine);
  });
  beforeEach(async () => {
    fixture = await fixture.renew();
    knex = fixture.knex;
    keys = { ...fixture.keys, v2: generateKeyBase64(), v3: generateKeyBase64() };
    await fixture.tenant('acme').save('key', 'x');
  });
  afterAll(async () => {
    await fixture?.close();
  });

  const tenantKeys = async (): Promise<readonly { wrapped: Buffer; root_kid: string; status: string }[]> =>
    await knex('secret_tenant_keys').orderBy('tenant_id').select('wrapped', 'root_kid', 'status');
  const acme = async (): Promise<Record<string, unknown>> =>
    await knex('secret_tenant_keys').where({ tenant_id: 'acme' }).first();

  /** A keyring with `kid` active that does something before it wraps acme's key, once. */
  function interrupted(kid: string, before: () => Promise<unknown>): KeyWrapper {
    const root = keyring(kid);
    let done = false;
    return wrapperOf(root, {
      wrapKey: async (key, options) => {
        if (!done && options.context.tenant === 'acme') {
          done = true;
          await before();
        }
        return await root.wrapKey(key, options);
      },
    });
  }

  it('waits for a transaction that has made a tenant key, and rewraps it', async () => {
    const made = Promise.withResolvers<void>();
    const commit = Promise.withResolvers<void>();
    const open = knex.transaction(async (trx) => {
      await fixture.tenant('late', trx).save('key', 'y');
      made.resolve();
      await commit.promise;
    });
    await made.promise;
    const rotation = fixture.reopen(keyring('v2')).rotateRoot(ACTOR);
    await Promise.race([rotation, new Promise((resolve) => setTimeout(resolve, 300))]);
    commit.resolve();
    await open;
    expect(await rotation).toEqual({ kid: 'v2', rewrapped: 3, retired: ['v1'] });
    const alone = fixture.reopen(createKeyring({ keys: { v2: keys.v2 ?? '' }, activeKid: 'v2' }));
    expect((await alone.tenant('late', ACTOR).get('key')).value).toBe('y');
  });

  it('leaves a process that still has the old key active reading, but making no key under it', async () => {
    const old = fixture.reopen(keyring('v1'));
    await old.ready();
    await fixture.reopen(keyring('v2')).rotateRoot(ACTOR);
    for (const store of [old, fixture.reopen(keyring('v1'))]) {
      expect((await store.tenant('acme', ACTOR).get('key')).value).toBe('x');
      await store.tenant('acme', ACTOR).save('key', 'x');
      expect(await rejection(store.tenant('new', ACTOR).save('key', 'y'))).toMatchObject({
        code: 'ERR_SECRETS_ROOT_KEY_RETIRED',
        context: { kid: 'v1' },
        retryable: false,
      });
      expect((await auditRows(knex, 'new')).at(-1)).toMatchObject({ action: 'secret.save', outcome: 'refused' });
      expect(await rejection(store.rotateRoot(ACTOR))).toMatchObject({ code: 'ERR_SECRETS_ROOT_KEY_RETIRED' });
    }
    expect(await tenantKeys()).toMatchObject([{ root_kid: 'v2' }, { root_kid: 'v2' }]);
  });

  it('is refused while one to another key runs, and retires nothing of it', async () => {
    const third = fixture.reopen(keyring('v3'));
    const refused: unknown[] = [];
    const second = fixture.reopen(
      interrupted('v2', async () => refused.push(await rejection(third.rotateRoot(ACTOR)))),
    );
    expect(await second.rotateRoot(ACTOR)).toMatchObject({ kid: 'v2', retired: ['v1'] });
    expect(refused).toMatchObject([{ code: 'ERR_SECRETS_ROTATION_CONFLICT', context: { kid: 'v2' }, retryable: true }]);
    expect(await tenantKeys()).toMatchObject([{ root_kid: 'v2' }, { root_kid: 'v2' }]);
    expect(await third.rotateRoot(ACTOR)).toMatchObject({ kid: 'v3', rewrapped: 2, retired: ['v2'] });
    expect((await third.tenant('acme', ACTOR).get('key')).value).toBe('x');
  });

  it('that stopped long ago gives way, and is told so when it goes on', async () => {
    const third = fixture.reopen(keyring('v3'));
    const slow = interrupted('v2', async () => {
      const long = new Date(Date.now() - 11 * MINUTE);
      await knex('secret_root_keys').where({ kid: 'v2' }).update({ rotating_at: long });
      await third.rotateRoot(ACTOR);
    });
    expect(await rejection(fixture.reopen(slow).rotateRoot(ACTOR))).toMatchObject({
      code: 'ERR_SECRETS_ROOT_KEY_RETIRED',
    });
    expect(await tenantKeys()).toMatchObject([{ root_kid: 'v3' }, { root_kid: 'v3' }]);
    expect((await third.tenant('acme', ACTOR).get('key')).value).toBe('x');
  });

  it('that stopped long ago writes no batch once another has begun', async () => {
    const before = await tenantKeys();
    await fixture.reopen(keyring('v3')).tenant('globex', ACTOR).save('key', 'x');
    const slow = interrupted('v2', async () => {
      const long = new Date(Date.now() - 11 * MINUTE);
      await knex('secret_root_keys').where({ kid: 'v2' }).update({ rotating_at: long });
      await knex.transaction((trx) => claimRotation(trx, tables, 'v3'));
    });
    expect(await rejection(fixture.reopen(slow).rotateRoot(ACTOR))).toMatchObject({
      code: 'ERR_SECRETS_ROTATION_CONFLICT',
      context: { kid: 'v3' },
    });
    expect((await tenantKeys()).filter(({ root_kid }) => root_kid === 'v1')).toEqual(before);
  });

  it('retires no root key under which a tenant key is just being stored', async () => {
    const checkValue = Buffer.from(await fixture.root.checkValue('v1'));
    await fixture.reopen(keyring('v2')).rotateRoot(ACTOR);
    await knex('secret_root_keys').update({ status: 'active' });
    const held = Promise.withResolvers<void>();
    const store = Promise.withResolvers<void>();
    const storing = knex.transaction(async (trx) => {
      await holdRootKey(trx, tables, fixture.root, { kid: 'v1', checkValue }, 1_000);
      held.resolve();
      await store.promise;
      await trx('secret_tenant_keys').where({ tenant_id: 'acme' }).update({ root_kid: 'v1' });
    });
    await held.promise;
    const retiring = knex.transaction((trx) => retireRootKeys(trx, tables, 'v2'));
    await Promise.race([retiring, new Promise((resolve) => setTimeout(resolve, 200))]);
    store.resolve();
    await storing;
    expect(await retiring).toEqual({ retired: [], unfinished: true });
  });

  it('stores nothing that was wrapped under another key than the one it rotates to', async () => {
    const before = await tenantKeys();
    const activated = keyring('v3'); // in the meantime
    const root = wrapperOf(keyring('v2'), { wrapKey: (key, options) => activated.wrapKey(key, options) });
    expect(await rejection(fixture.reopen(root).rotateRoot(ACTOR))).toMatchObject({
      code: 'ERR_SECRETS_ROTATION_CONFLICT',
    });
    expect(await tenantKeys()).toEqual(before);
    expect(await fixture.reopen(activated).rotateRoot(ACTOR)).toMatchObject({ kid: 'v3', rewrapped: 2 });
  });

  it('stores nothing that does not come back, and records that it was refused', async () => {
    const before = await tenantKeys();
    const root = keyring('v2');
    const wrapKey: KeyWrapper['wrapKey'] = (_key, options) => root.wrapKey(new Uint8Array(32).fill(3), options);
    const error = await rejection(fixture.reopen(wrapperOf(root, { wrapKey })).rotateRoot(ACTOR));
    expect(error).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY' });
    expect(await tenantKeys()).toEqual(before);
    const last = (await auditRows(knex, '$system')).at(-1);
    expect(last).toMatchObject({ action: 'root.rotate', outcome: 'refused', actor: 'operator' });
    expect(JSON.parse(last?.context ?? '')).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY', tenant: '$system' });
  });

  it('leaves alone what was rewrapped meanwhile', async () => {
    let rewrapped: unknown;
    const other = interrupted('v2', async () => {
      await fixture.reopen(keyring('v2')).rotateRoot(ACTOR);
      rewrapped = (await acme()).wrapped;
    });
    expect(await fixture.reopen(other).rotateRoot(ACTOR)).toEqual({ kid: 'v2', rewrapped: 0, retired: [] });
    expect((await acme()).wrapped).toEqual(rewrapped);
  });

  it('brings nothing back that was destroyed meanwhile, or before', async () => {
    await fixture.tenant('gone').save('key', 'x');
    await knex('secret_tenant_keys').where({ tenant_id: 'gone' }).update({ status: 'destroyed' });
    const before = await knex('secret_tenant_keys').where({ tenant_id: 'gone' });
    const destroy = (): Promise<unknown> =>
      knex('secret_tenant_keys').where({ tenant_id: 'acme' }).update({ status: 'destroyed', wrapped: null });
    const rotation = await fixture.reopen(interrupted('v2', destroy)).rotateRoot(ACTOR);
    expect(rotation).toEqual({ kid: 'v2', rewrapped: 1, retired: ['v1'] });
    expect(await acme()).toMatchObject({ status: 'destroyed', wrapped: null, root_kid: 'v1' });
    expect(await knex('secret_tenant_keys').where({ tenant_id: 'gone' })).toEqual(before);
  });

  it('retires no root key that a tenant key is under', async () => {
    await fixture.reopen(keyring('v2')).tenant('globex', ACTOR).save('key', 'x');
    const end = await knex.transaction((trx) => retireRootKeys(trx, tables, 'v2'));
    expect(end).toEqual({ retired: [], unfinished: true });
    expect(await knex('secret_root_keys').orderBy('kid').select('kid', 'status')).toEqual([
      { kid: 'v1', status: 'active' },
      { kid: 'v2', status: 'active' },
    ]);
  });

  it("is ended by the caller's signal, also in the middle of a call of a remote root key", async () => {
    const root = keyring('v2');
    let hang = false;
    const unwrapKey: KeyWrapper['unwrapKey'] = (wrapped, options) =>
      hang ? new Promise(() => undefined) : root.unwrapKey(wrapped, options);
    const store = fixture.reopen(wrapperOf(root, { unwrapKey }), { rootTimeoutMs: 60_000 });
    await store.ready();
    hang = true;
    for (const signal of [AbortSignal.abort(), AbortSignal.timeout(50)]) {
      const error = await rejection(store.rotateRoot({ ...ACTOR, signal }));
      expect(error).toMatchObject({ code: 'ERR_SECRETS_ABORTED', retryable: false });
    }
    // it does not hold up a rotation to another key
    expect(await fixture.reopen(keyring('v3')).rotateRoot(ACTOR)).toMatchObject({ kid: 'v3', rewrapped: 2 });
  });

  it('blames a progress callback that throws, and goes on when it is called again', async () => {
    const store = fixture.reopen(keyring('v2'));
    const onProgress = (): void => {
      throw new Error('not rendered');
    };
    expect(await rejection(store.rotateRoot({ ...ACTOR, onProgress }))).toMatchObject({
      code: 'ERR_SECRETS_INVALID_ARGUMENT',
      context: { argument: 'onProgress' },
    });
    expect(await store.rotateRoot(ACTOR)).toEqual({ kid: 'v2', rewrapped: 0, retired: ['v1'] });
  });

  describe('and start-up', () => {
    it('asks of the others no root key that nothing is under', async () => {
      await fixture
        .reopen(createKeyring({ keys: { ...fixture.keys, v9: generateKeyBase64() }, activeKid: 'v9' }))
        .ready();
      await fixture.reopen(createKeyring({ keys: fixture.keys, activeKid: 'v1' })).ready();
      expect(await knex('secret_root_keys').pluck('kid')).toEqual(['v1']);
    });

    it('asks for every root key that a tenant key is under, whatever its status says', async () => {
      const { wrapped, root_kid } = await acme();
      await fixture.reopen(keyring('v2')).rotateRoot(ACTOR);
      await knex('secret_tenant_keys').where({ tenant_id: 'acme' }).update({ wrapped, root_kid });
      const alone = fixture.reopen(createKeyring({ keys: { v2: keys.v2 ?? '' }, activeKid: 'v2' }));
      expect(await rejection(alone.ready())).toMatchObject({
        code: 'ERR_SECRETS_ROOT_KEY_MISSING',
        context: { kid: 'v1' },
      });
    });

    it('takes a key that is activated later: it is registered with the first tenant key under it', async () => {
      fixture.root.add('v2', keys.v2 ?? '');
      fixture.root.activate('v2');
      await fixture.tenant('globex').save('key', 'y');
      await knex.transaction((trx) => fixture.tenant('initech', trx).save('key', 'z'));
      expect(await knex('secret_root_keys').orderBy('kid').pluck('kid')).toEqual(['v1', 'v2']);
      expect((await fixture.reopen(keyring('v1')).tenant('globex', ACTOR).get('key')).value).toBe('y');
    });

    it('registers nothing in a transaction that rolls back', async () => {
      const store = fixture.reopen(keyring('v2'));
      const attempt = knex.transaction(async (trx) => {
        await store.tenant('globex', { ...ACTOR, trx }).save('key', 'y');
        throw new Error('rolled back by the caller');
      });
      await rejection(attempt);
      expect(await knex('secret_root_keys').pluck('kid')).toEqual(['v1']);
      await store.tenant('globex', ACTOR).save('key', 'y');
      expect(await knex('secret_root_keys').orderBy('kid').pluck('kid')).toEqual(['v1', 'v2']);
    });
  });
});
