import { inspect } from 'node:util';
import { createKmsKeys, type KmsProvider } from '@keywright/kms';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex from 'knex';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type KeyFixture, openKeys, registryOf, rejection } from '../support/key-fixture.ts';

const DATA = Buffer.from('data to be signed');

describeEachEngine('reading keys', (engine) => {
  let fixture: KeyFixture;
  beforeAll(async () => {
    fixture = await openKeys(engine, { main: {}, other: {} });
  });
  afterEach(() => fixture.empty());
  afterAll(() => fixture?.close());

  it('lists a tenant’s keys in pages, by provider and by state', async () => {
    const { acme, main } = fixture;
    for (const keyId of ['k1', 'k2', 'k3']) await acme.create({ keyId });
    await acme.create({ keyId: 'k4', provider: 'other' });
    await fixture.keys.tenant('globex').create({ keyId: 'k0' });
    main.failAt('createKey', 'before', 'ERR_KMS_TIMEOUT', 1);
    await rejection(acme.create({ keyId: 'k5' }));
    main.failAt('deleteKey', 'before', 'ERR_KMS_DENIED', 1);
    await rejection(acme.delete('k1'));

    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await acme.list({ limit: 2, cursor });
      expect(page.keys.length).toBeLessThanOrEqual(2);
      seen.push(...page.keys.map(({ keyId, status }) => `${keyId} ${status}`));
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect(seen).toEqual(['k1 deleting', 'k2 active', 'k3 active', 'k4 active', 'k5 creating']);

    const ids = async (options: object): Promise<readonly string[]> =>
      (await acme.list(options)).keys.map(({ keyId }) => keyId);
    expect(await ids({ provider: 'other' })).toEqual(['k4']);
    expect(await ids({ status: 'active', provider: 'main' })).toEqual(['k2', 'k3']);
    expect(await ids({ limit: 5 })).toHaveLength(5);
    expect((await acme.list({ limit: 5 })).cursor).toBeUndefined();
    for (const options of [{ limit: 0 }, { limit: 1_001 }, { cursor: '%%' }, { cursor: 7 }, { status: 'x' }, 7]) {
      const refused = acme.list(options as never);
      await expect(refused).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
    }
  });

  it('reads and signs in the caller’s transaction', async () => {
    const { acme, knex } = fixture;
    await acme.create({ keyId: 'k1', description: 'before' });
    await knex.transaction(async (trx) => {
      await trx('kms_keys').where({ key_id: 'k1' }).update({ description: 'in the transaction' });
      expect(await acme.get('k1', { trx })).toMatchObject({ description: 'in the transaction' });
      expect((await acme.list({ trx })).keys[0]?.description).toBe('in the transaction');
      expect(await acme.sign('k1', DATA, { trx })).toHaveLength(64);
      const inside = fixture.reopen({ knex: trx }).tenant('acme');
      expect(await inside.sign('k1', DATA)).toHaveLength(64);
    });
    for (const trx of [knex, {}, 'trx']) {
      await expect(acme.get('k1', { trx: trx as never })).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
    }
  });

  it('makes, deletes and moves nothing in a transaction', async () => {
    await fixture.acme.create({ keyId: 'k1' });
    fixture.main.calls.length = 0;
    await fixture.knex.transaction(async (trx) => {
      const keys = fixture.reopen({ knex: trx });
      const acme = keys.tenant('acme');
      const refused = [
        acme.create(),
        acme.import({ privateJwk: {} as never }),
        acme.delete('k1'),
        acme.move('k1', { to: 'other', import: true }),
        keys.reconcile(),
      ];
      for (const ended of await Promise.allSettled(refused)) {
        expect(ended).toMatchObject({ status: 'rejected', reason: { code: 'ERR_KMS_IN_TRANSACTION' } });
      }
    });
    expect(fixture.main.calls).toEqual([]);
    expect(await fixture.rows()).toHaveLength(1);
  });

  it('asks the database once to sign by id, and not at all with a key that was read', async () => {
    const key = await fixture.acme.create({ keyId: 'k1' });
    let queries = 0;
    const count = (): void => {
      queries += 1;
    };
    fixture.knex.on('query', count);
    await fixture.acme.sign('k1', DATA);
    expect(queries).toBe(1);
    await fixture.acme.sign(key, DATA);
    expect(queries).toBe(1);
    fixture.knex.removeListener('query', count);
    expect(fixture.main.calls).toEqual(['createKey', 'sign', 'sign']);
  });

  it('compares the backend’s public key with the recorded one', async () => {
    const { acme, main } = fixture;
    const [one, two] = [await acme.create({ keyId: 'k1' }), await acme.create({ keyId: 'k2' })];
    await fixture.knex('kms_keys').where({ key_id: 'k2' }).update({ external_id: one.externalId });
    main.lose(two.externalId);
    const fresh = fixture.reopen().tenant('acme');
    await expect(fresh.publicKey('k2')).rejects.toMatchObject({
      code: 'ERR_KMS_KEY_MISMATCH',
      context: { keyId: 'k2' },
    });
    await expect(fresh.exportKey('k2')).rejects.toMatchObject({ code: 'ERR_KMS_KEY_MISMATCH' });
    expect(await fresh.publicKey('k1')).toEqual(one.publicJwk);
  });

  it.each([
    ['alg', { alg: 'HS256' }],
    ['public_jwk', { public_jwk: JSON.stringify({ kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' }) }],
    ['public_jwk', { public_jwk: JSON.stringify('text') }],
  ])('refuses a row whose %s was changed', async (field, change) => {
    await fixture.acme.create({ keyId: 'k1' });
    await fixture.knex('kms_keys').update(change);
    await expect(fixture.acme.get('k1')).rejects.toMatchObject({ code: 'ERR_KMS_INTEGRITY', context: { field } });
  });

  it('refuses a row whose JSON is none, and signs with it by what else it says', async () => {
    if (engine.dialect !== 'sqlite') return; // PostgreSQL holds nothing but JSON there
    await fixture.acme.create({ keyId: 'k1' });
    await fixture.knex('kms_keys').update({ public_jwk: '{"d":' });
    await expect(fixture.acme.get('k1')).rejects.toMatchObject({ code: 'ERR_KMS_INTEGRITY' });
    expect(await fixture.acme.sign('k1', DATA)).toHaveLength(64);
  });

  it('shows no private member that was put into a row', async () => {
    const { publicJwk } = await fixture.acme.create({ keyId: 'k1' });
    await fixture.knex('kms_keys').update({ public_jwk: JSON.stringify({ ...publicJwk, d: 'canary-d', kid: 'x' }) });
    expect(await fixture.acme.get('k1')).toMatchObject({ publicJwk });
    expect(inspect(await fixture.acme.get('k1'))).not.toContain('canary-d');
  });

  it('refuses tables that are not there, a database that is away, and what is no database', async () => {
    const elsewhere = fixture.reopen({ tables: { prefix: 'elsewhere_' } }).tenant('acme');
    const error = await rejection(elsewhere.get('k1'));
    expect(error).toMatchObject({ code: 'ERR_KMS_NOT_MIGRATED' });
    expect(inspect(error, { depth: null })).not.toMatch(/select|elsewhere_/);
    const closed = createKnex(fixture.database.knexConfig);
    await closed.destroy();
    await expect(fixture.reopen({ knex: closed }).tenant('acme').get('k1')).rejects.toMatchObject({
      code: 'ERR_KMS_DATABASE',
    });
    const registry = registryOf([]);
    expect(() => createKmsKeys({ knex: {} as never, registry })).toThrow(
      expect.objectContaining({ code: 'ERR_KMS_INVALID_ARGUMENT' }),
    );
    expect(() => createKmsKeys({ knex: fixture.knex, registry: { provider: 1 } as never })).toThrow(
      expect.objectContaining({ code: 'ERR_KMS_INVALID_ARGUMENT' }),
    );
  });

  it('tells nothing of bindings, whatever the host’s driver says', async () => {
    const provider = { ...providerThatFails(), id: 'main' } as unknown as KmsProvider;
    const acme = fixture.reopen({ registry: registryOf([provider]) }).tenant('acme');
    const error = await rejection(acme.create({ keyId: 'k1' }));
    expect(error).toMatchObject({ code: 'ERR_KMS_BACKEND', context: { keyId: 'k1', state: 'creating' } });
    expect(inspect(error, { depth: null, showHidden: true })).not.toContain('canary');
    expect(JSON.stringify(error)).not.toContain('canary');
  });
});

/** A third party's, which throws what it likes. */
function providerThatFails(): object {
  return {
    capabilities: { algs: { ES256: { create: true, import: false } }, defaultAlg: 'ES256' },
    createKey: async () => {
      throw new TypeError('canary: token and all');
    },
  };
}
