import { generateKeyPairSync } from 'node:crypto';
import { inspect } from 'node:util';
import { KmsError, type KmsProvider, verifySignature } from '@keywright/kms';
import { describeEachEngine } from '@keywright/testkit/engines';
import { compactVerify, importJWK } from 'jose';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type KeyFixture, openKeys, registryOf, rejection } from '../support/key-fixture.ts';

const DATA = Buffer.from('data to be signed');

describeEachEngine('making keys', (engine) => {
  let fixture: KeyFixture;
  beforeAll(async () => {
    fixture = await openKeys(engine, { main: {}, other: {} });
  });
  afterEach(() => fixture.empty());
  afterAll(() => fixture?.close());

  it('makes a key that signs, by its id and as an object, and says where it is', async () => {
    const { acme, main } = fixture;
    const key = await acme.create({ keyId: 'k1', description: 'invoices' });
    expect(key).toMatchObject({ tenantId: 'acme', keyId: 'k1', providerId: 'main', alg: 'ES256', status: 'active' });
    expect(key.description).toBe('invoices');
    expect(Math.abs(key.createdAt.getTime() - Date.now())).toBeLessThan(60_000);
    expect(main.ids()).toEqual([key.externalId]);
    expect(key.externalId).toMatch(/^[0-9a-f]{32}$/);
    for (const named of ['k1', key] as const) {
      expect(verifySignature('ES256', key.publicJwk, DATA, await acme.sign(named, DATA))).toBe(true);
    }
    expect(await acme.get('k1')).toEqual(key);
    expect(await acme.publicKey('k1')).toEqual(key.publicJwk);
    const [row] = await fixture.rows();
    expect(row).toMatchObject({ status: 'active', busy_until: null, attempts: 0, last_error: null });
  });

  it('signs what jose verifies', async () => {
    const key = await fixture.acme.create();
    expect(key.keyId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const input = `${Buffer.from('{"alg":"ES256"}').toString('base64url')}.${Buffer.from('payload').toString('base64url')}`;
    const signature = await fixture.acme.sign(key.keyId, Buffer.from(input));
    const jws = `${input}.${Buffer.from(signature).toString('base64url')}`;
    const { payload } = await compactVerify(jws, await importJWK({ ...key.publicJwk }, 'ES256'));
    expect(Buffer.from(payload).toString()).toBe('payload');
  });

  it('commits the row before the backend is asked', async () => {
    const seen: unknown[] = [];
    fixture.main.step = async (operation, when) => {
      if (operation !== 'createKey' || when !== 'before') return;
      const rows = await fixture.knex('kms_keys').select('status', 'name', 'external_id', 'public_jwk');
      seen.push(...(rows as unknown[]));
    };
    const key = await fixture.acme.create();
    expect(seen).toEqual([{ status: 'creating', name: key.externalId, external_id: null, public_jwk: null }]);
  });

  it('imports a key, and never writes a private member into a row', async () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const privateJwk = { ...pair.privateKey.export({ format: 'jwk' }), alg: 'ES256', kid: 'theirs' } as never;
    const key = await fixture.acme.import({ keyId: 'theirs', privateJwk });
    expect(key.publicJwk).toEqual(pair.publicKey.export({ format: 'jwk' }));
    expect(verifySignature('ES256', key.publicJwk, DATA, await fixture.acme.sign('theirs', DATA))).toBe(true);
    expect(await fixture.acme.exportKey('theirs')).toMatchObject({ d: pair.privateKey.export({ format: 'jwk' }).d });
    const dump = inspect(await fixture.rows(), { depth: null });
    expect(dump).not.toContain(pair.privateKey.export({ format: 'jwk' }).d);
    expect(dump).toContain(key.publicJwk.kty);
    expect(dump).not.toMatch(/\bd['"]?:/);
  });

  it('refuses a key id that the tenant has, and gives it to another tenant', async () => {
    await fixture.acme.create({ keyId: 'k1' });
    await expect(fixture.acme.create({ keyId: 'k1' })).rejects.toMatchObject({
      code: 'ERR_KMS_KEY_EXISTS',
      context: { tenantId: 'acme', keyId: 'k1' },
    });
    const other = await fixture.keys.tenant('globex').create({ keyId: 'k1' });
    expect(other.publicJwk).not.toEqual((await fixture.acme.get('k1')).publicJwk);
    expect(fixture.main.ids()).toHaveLength(2);
  });

  it('makes exactly one key of twenty creates of one id at once', async () => {
    const tables = [fixture.keys, fixture.reopen(), fixture.reopen(), fixture.reopen()];
    const creates = Array.from({ length: 20 }, (_, index) => tables[index % 4]?.tenant('acme').create({ keyId: 'k1' }));
    const ended = await Promise.allSettled(creates);
    expect(ended.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const codes = ended.flatMap((one) => (one.status === 'rejected' ? [(one.reason as { code: string }).code] : []));
    expect(new Set(codes)).toEqual(new Set(['ERR_KMS_KEY_EXISTS']));
    expect(fixture.main.ids()).toHaveLength(1);
    expect(await fixture.rows()).toHaveLength(1);
  });

  it.each(['ERR_KMS_DENIED', 'ERR_KMS_UNSUPPORTED', 'ERR_KMS_THROTTLED', 'ERR_KMS_CREDENTIALS'] as const)(
    'leaves nothing behind after %s, which says that nothing was made',
    async (code) => {
      fixture.main.failAt('createKey', 'before', code);
      await expect(fixture.acme.create({ keyId: 'k1' })).rejects.toMatchObject({ code, context: { keyId: 'k1' } });
      expect(await fixture.rows()).toEqual([]);
      fixture.main.step = undefined;
      await expect(fixture.acme.create({ keyId: 'k1' })).resolves.toMatchObject({ keyId: 'k1' });
    },
  );

  it.each(['ERR_KMS_TIMEOUT', 'ERR_KMS_UNAVAILABLE', 'ERR_KMS_INVALID_RESPONSE', 'ERR_KMS_BACKEND'] as const)(
    'keeps the row after %s, which may hide a key, and says so',
    async (code) => {
      fixture.main.failAt('createKey', 'after', code, 1);
      const error = await rejection(fixture.acme.create({ keyId: 'k1' }));
      expect(error).toMatchObject({
        code,
        retryable: false,
        context: { tenantId: 'acme', keyId: 'k1', provider: 'main', state: 'creating' },
      });
      expect(await fixture.acme.find('k1')).toMatchObject({ status: 'creating' });
      expect(fixture.main.ids()).toHaveLength(1);
      await expect(fixture.acme.get('k1')).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_USABLE' });
      await expect(fixture.acme.sign('k1', DATA)).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_USABLE' });
      await expect(fixture.acme.create({ keyId: 'k1' })).rejects.toMatchObject({ code: 'ERR_KMS_KEY_EXISTS' });
    },
  );

  it('keeps the row where a refusal says that something was made before', async () => {
    fixture.main.step = (operation, when) => {
      if (operation !== 'createKey' || when !== 'after') return;
      throw new KmsError('ERR_KMS_DENIED', { context: { state: 'creating' } });
    };
    const error = await rejection(fixture.acme.create({ keyId: 'k1' }));
    expect(error).toMatchObject({ code: 'ERR_KMS_DENIED', context: { state: 'creating' } });
    fixture.main.step = undefined;
    expect((await fixture.keys.reconcile({ olderThanMs: 0 })).counts).toMatchObject({ cleared: 1, deleted: 1 });
    expect(fixture.main.ids()).toEqual([]);
  });

  it.each([
    ['an id', { externalId: undefined, externalVersion: null }],
    ['an id that fits', { externalId: 'x'.repeat(513), externalVersion: null }],
    ['a version', { externalId: 'x', externalVersion: undefined }],
  ])('keeps the row where a provider answers without %s', async (_title, made) => {
    const { capabilities } = fixture.main.provider('main');
    const careless = { id: 'main', capabilities, createKey: async () => made } as unknown as KmsProvider;
    const acme = fixture.reopen({ registry: registryOf([careless]) }).tenant('acme');
    await expect(acme.create({ keyId: 'k1' })).rejects.toMatchObject({
      code: 'ERR_KMS_INVALID_RESPONSE',
      context: { state: 'creating' },
    });
    expect(await acme.find('k1')).toMatchObject({ status: 'creating' });
  });

  it('deletes a key again whose row could not be written', async () => {
    const refuse = engine.dialect === 'sqlite' ? SQLITE_REFUSAL : POSTGRES_REFUSAL;
    for (const statement of refuse.make) await fixture.knex.raw(statement);
    try {
      const error = await rejection(fixture.acme.create({ keyId: 'k1' }));
      expect(error).toMatchObject({ code: 'ERR_KMS_DATABASE', context: { keyId: 'k1' } });
      expect(inspect(error, { depth: null })).not.toMatch(/update|no active keys/i);
      expect(fixture.main.ids()).toEqual([]);
      expect(await fixture.rows()).toEqual([]);
    } finally {
      for (const statement of refuse.undo) await fixture.knex.raw(statement);
    }
  });

  it.each(['before', 'after'] as const)(
    'gives a key to nobody whose row was cleared away %s the backend made it',
    async (point) => {
      fixture.main.step = async (operation, when) => {
        if (operation !== 'createKey' || when !== point) return;
        await fixture.age(); // as if it had taken ten minutes
        await fixture.reopen().reconcile();
      };
      const error = await rejection(fixture.acme.create({ keyId: 'k1' }));
      expect(error).toMatchObject({ code: 'ERR_KMS_KEY_NOT_USABLE', context: { keyId: 'k1' } });
      expect(fixture.main.ids()).toEqual([]);
      expect(await fixture.rows()).toEqual([]);
    },
  );

  it('gives a key to nobody whose row says that it is to be deleted', async () => {
    fixture.main.step = async (operation, when) => {
      if (operation === 'deleteKey') throw new KmsError('ERR_KMS_DENIED');
      if (operation !== 'createKey' || when !== 'after') return;
      await fixture.age();
      await fixture.reopen().reconcile();
    };
    await expect(fixture.acme.create({ keyId: 'k1' })).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_USABLE' });
    expect(await fixture.acme.find('k1')).toMatchObject({ status: 'deleting', lastError: 'ERR_KMS_DENIED' });
    fixture.main.step = undefined;
    await fixture.acme.delete('k1');
    expect(fixture.main.ids()).toEqual([]);
  });

  it('asks the provider that made the key and no other', async () => {
    const key = await fixture.acme.create({ keyId: 'k1', provider: 'other' });
    expect(key.providerId).toBe('other');
    await fixture.acme.sign('k1', DATA);
    expect(fixture.main.calls).toEqual([]);
    const without = fixture.reopen({ registry: registryOf([fixture.main.provider('main')]) }).tenant('acme');
    for (const call of [() => without.sign('k1', DATA), () => without.sign(key, DATA), () => without.delete('k1')]) {
      await expect(call()).rejects.toMatchObject({ code: 'ERR_KMS_PROVIDER_UNKNOWN', context: { provider: 'other' } });
    }
    expect(fixture.main.calls).toEqual([]);
    expect(await fixture.acme.get('k1')).toEqual(key);
  });

  it('does not follow a registry that answers with another provider', async () => {
    await fixture.acme.create({ keyId: 'k1', provider: 'other' });
    const lenient = { provider: () => fixture.main.provider('main') };
    const acme = fixture.reopen({ registry: lenient }).tenant('acme');
    await expect(acme.sign('k1', DATA)).rejects.toMatchObject({ code: 'ERR_KMS_PROVIDER_UNKNOWN' });
    await expect(acme.create({ provider: 'other' })).rejects.toMatchObject({ code: 'ERR_KMS_PROVIDER_UNKNOWN' });
  });

  it('lets a tenant’s own registry choose', async () => {
    const registry = registryOf([fixture.backend('other').provider('other')]);
    expect(await fixture.keys.tenant('acme', { registry }).create()).toMatchObject({ providerId: 'other' });
  });

  it('refuses what cannot be made before anything is written', async () => {
    const { acme } = fixture;
    const bad = (input: object) => acme.create(input as never);
    const stopped = AbortSignal.abort();
    await expect(acme.create({ alg: 'ES512' })).rejects.toMatchObject({ code: 'ERR_KMS_UNSUPPORTED' });
    await expect(acme.create({}, { signal: stopped })).rejects.toMatchObject({ code: 'ERR_KMS_ABORTED' });
    const refused = [
      bad({ keyId: '' }),
      bad({ keyId: 'a/b' }),
      bad({ alg: 'none' }),
      bad({ provider: '../x' }),
      bad({ description: 'x'.repeat(1_025) }),
      bad({ description: 'a\0b' }),
      acme.create({}, { timeoutMs: 120_001 }),
      acme.import({ privateJwk: undefined as never }),
      acme.import({ privateJwk: { kty: 'EC' } as never }),
      acme.import(undefined as never),
      acme.import({
        get privateJwk(): never {
          throw new Error('of the caller');
        },
      }),
    ];
    for (const ended of await Promise.allSettled(refused)) {
      expect(ended).toMatchObject({ status: 'rejected', reason: { code: 'ERR_KMS_INVALID_ARGUMENT' } });
    }
    expect(() => fixture.keys.tenant('')).toThrow(expect.objectContaining({ code: 'ERR_KMS_INVALID_ARGUMENT' }));
    expect(await fixture.rows()).toEqual([]);
    expect(fixture.main.ids()).toEqual([]);
  });
});

const POSTGRES_REFUSAL = {
  make: [
    `create function no_active() returns trigger language plpgsql as $$ begin raise exception 'no active keys: %', new.name; end $$`,
    `create trigger no_active before update on kms_keys for each row when (new.status = 'active') execute function no_active()`,
  ],
  undo: ['drop trigger no_active on kms_keys', 'drop function no_active'],
};

const SQLITE_REFUSAL = {
  make: [
    `create trigger no_active before update on kms_keys when new.status = 'active' begin select raise(abort, 'no active keys'); end`,
  ],
  undo: ['drop trigger no_active'],
};
