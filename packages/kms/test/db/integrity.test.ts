import { createPrivateKey } from 'node:crypto';
import { createKeyring, generateKeyBase64, type Keyring } from '@keywright/envelope';
import { dbProvider, type KmsKey, migrateKmsTables, verifySignature } from '@keywright/kms';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex from 'knex';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sampleKey } from '../../src/conformance/sample-keys.ts';
import { contexts } from '../../src/providers/db/contexts.ts';
import { keyOfEach } from '../support/software-keys.ts';
import { type DbFixture, dumped, openDbFixture } from './fixture.ts';

const INTEGRITY = expect.objectContaining({ code: 'ERR_KMS_INTEGRITY', retryable: false });
const DATA = Buffer.from('data');

describe('encryption contexts', () => {
  it('are exactly these: what was sealed under them must open for ever', () => {
    const at = { tenantId: 'acme', providerId: 'db', externalId: 'e1', alg: 'ES256' } as const;
    expect(contexts.key(at)).toEqual({ kind: 'kms-key', tenant: 'acme', provider: 'db', key: 'e1' });
    expect(contexts.dataKey(at)).toEqual({
      kind: 'kms-key-dek',
      tenant: 'acme',
      provider: 'db',
      key: 'e1',
      alg: 'ES256',
    });
  });
});

describeEachEngine('sealed software keys', (engine) => {
  let fixture: DbFixture;
  beforeAll(async () => {
    fixture = await openDbFixture(engine, { recheckMs: 0 });
  });
  afterAll(() => fixture.close());

  const rowOf = ({ tenantId, providerId, externalId }: KmsKey) => ({
    tenant_id: tenantId,
    provider_id: providerId,
    external_id: externalId,
  });
  /** As another process reads it: nothing is unlocked yet. */
  const signElsewhere = (key: KmsKey) => fixture.open({ id: key.providerId }).sign(key, DATA);

  it('show no private member and no PKCS #8 in the table, of any algorithm', async () => {
    const secrets: Buffer[] = [];
    for (const key of (await keyOfEach(fixture.provider, 'acme')).values()) {
      const jwk = await fixture.provider.exportKey(key);
      const members = ['d', 'p', 'q', 'dp', 'dq', 'qi'] as const;
      for (const member of members) {
        const text = jwk[member];
        if (text === undefined) continue;
        const bytes = Buffer.from(text, 'base64url');
        secrets.push(
          Buffer.from(text),
          bytes,
          Buffer.from(bytes.toString('hex')),
          Buffer.from(bytes.toString('base64')),
        );
      }
      secrets.push(createPrivateKey({ format: 'jwk', key: { ...jwk } }).export({ format: 'der', type: 'pkcs8' }));
    }
    const dump = await dumped(fixture.knex);
    expect(dump.length).toBeGreaterThan(10_000);
    expect(secrets.filter((secret) => dump.includes(secret))).toEqual([]);
    // What PKCS #8 of each kind begins with would show a key that was stored in the clear.
    for (const alg of ['ES256', 'EdDSA', 'RS256'] as const) {
      const privateKey = createPrivateKey({ format: 'jwk', key: { ...sampleKey(alg) } });
      const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' });
      const oid = pkcs8.subarray(pkcs8.indexOf(0x06), pkcs8.indexOf(0x06) + 5);
      expect(dump.includes(oid)).toBe(false);
    }
  });

  it('do not open in the row of another tenant, provider or key, and sign where they were', async () => {
    const { knex, provider } = fixture;
    const other = fixture.open({ id: 'db2' });
    const home = await provider.createKey({ tenantId: 'acme', keyId: 'same' });
    const others: readonly KmsKey[] = [
      await provider.createKey({ tenantId: 'globex', keyId: 'same' }),
      await provider.createKey({ tenantId: 'globex', keyId: 'same', name: home.externalId }),
      await provider.createKey({ tenantId: 'acme', keyId: 'other' }),
      await other.createKey({ tenantId: 'acme', keyId: 'same', name: home.externalId }),
    ];
    const table = () => knex('kms_software_keys');
    const sealed = await table().where(rowOf(home)).first();
    for (const key of others) {
      const before = await table().where(rowOf(key)).first();
      for (const columns of [
        ['sealed_key'],
        ['wrapped_key'],
        ['wrapped_key', 'sealed_key'],
        ['wrapped_key', 'sealed_key', 'public_jwk', 'alg', 'root_kid'],
      ]) {
        const moved = Object.fromEntries(
          columns.map((column) => [column, column === 'public_jwk' ? JSON.stringify(home.publicJwk) : sealed[column]]),
        );
        await table().where(rowOf(key)).update(moved);
        await expect(signElsewhere(key)).rejects.toEqual(INTEGRITY);
        await expect(fixture.open({ id: key.providerId }).getPublicKey(key)).rejects.toEqual(INTEGRITY);
        await table()
          .where(rowOf(key))
          .update({ ...before, public_jwk: JSON.stringify(key.publicJwk) });
      }
      expect(verifySignature('ES256', key.publicJwk, DATA, await signElsewhere(key))).toBe(true);
    }
  });

  it('do not open with a bit changed, another algorithm or another root key; nothing tells the reason', async () => {
    const { knex, provider } = fixture;
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'tampered' });
    const table = () => knex('kms_software_keys').where(rowOf(key));
    const before = await table().first();
    const flipped = (bytes: Buffer, at: number): Buffer => {
      const copy = Buffer.from(bytes);
      copy[at] = (copy[at] as number) ^ 1;
      return copy;
    };
    const changes = [
      { sealed_key: flipped(before.sealed_key, before.sealed_key.length - 1) },
      { sealed_key: flipped(before.sealed_key, 0) },
      { sealed_key: Buffer.of(0) },
      { wrapped_key: flipped(before.wrapped_key, before.wrapped_key.length - 1) },
      { wrapped_key: Buffer.alloc(0) },
      { alg: 'ES384' },
      { alg: '__proto__' },
      { root_kid: 'v2' },
      { public_jwk: JSON.stringify({ ...key.publicJwk, x: 'AQAC' }) },
      { public_jwk: 'null' },
    ];
    const shown = new Set<string>();
    for (const change of changes) {
      await table().update(change);
      const error = await signElsewhere(key).catch((refused: unknown) => refused);
      expect(error, Object.keys(change)[0]).toEqual(INTEGRITY);
      shown.add(JSON.stringify(error));
      await table().update({ ...before, public_jwk: JSON.stringify(key.publicJwk) });
    }
    await expect(fixture.open().sign(key, DATA)).resolves.toBeInstanceOf(Uint8Array);
    for (const kid of ['v1', 'v2']) {
      const root = createKeyring({ keys: { [kid]: generateKeyBase64() }, activeKid: kid });
      const error = await fixture
        .open({ root })
        .sign(key, DATA)
        .catch((refused: unknown) => refused);
      expect(error).toEqual(INTEGRITY);
      shown.add(JSON.stringify(error));
    }
    expect([...shown]).toHaveLength(1);
  });

  it('are not made under another root key of the same id, which no other process could open', async () => {
    const { knex } = fixture;
    const id = 'guarded';
    const count = async (): Promise<number> => (await knex('kms_software_keys').where({ provider_id: id })).length;
    const create = (options: { root?: Keyring } = {}) =>
      fixture.open({ id, ...options }).createKey({ tenantId: 'acme', keyId: 'k1' });
    const key = await create();
    await create();
    const foreign = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
    await expect(create({ root: foreign })).rejects.toEqual(INTEGRITY);
    expect(await count()).toBe(2);
    // One damaged row is no reason to refuse.
    await knex('kms_software_keys')
      .where(rowOf(key))
      .update({ wrapped_key: Buffer.from('damaged') });
    await create();
    expect(await count()).toBe(3);
    // Under an id of its own it is another root key, and makes keys.
    await create({ root: createKeyring({ keys: { v9: generateKeyBase64() }, activeKid: 'v9' }) });
    expect(await count()).toBe(4);
  });

  it('are never replaced: a second key of the same name is refused', async () => {
    const { provider } = fixture;
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
    const again = provider.createKey({ tenantId: 'acme', keyId: 'k1', name: key.externalId });
    await expect(again).rejects.toMatchObject({ code: 'ERR_KMS_KEY_EXISTS' });
    expect(verifySignature('ES256', key.publicJwk, DATA, await signElsewhere(key))).toBe(true);
  });

  it('do not sign as another algorithm of the same kind of key', async () => {
    const key = (await keyOfEach(fixture.provider, 'acme')).get('RS256') as KmsKey;
    const refused = expect.objectContaining({ code: 'ERR_KMS_KEY_NOT_USABLE' });
    for (const provider of [fixture.provider, fixture.open({ recheckMs: 60_000 })]) {
      await provider.sign(key, DATA);
      await expect(provider.sign({ ...key, alg: 'PS256' }, DATA)).rejects.toEqual(refused);
      await expect(provider.getPublicKey({ ...key, alg: 'RS512' })).rejects.toEqual(refused);
    }
  });
});

it('a key opens for the tenant that is asked for, and not for one that the database takes for the same', async () => {
  const knex = createKnex({ client: 'better-sqlite3', connection: { filename: ':memory:' }, useNullAsDefault: true });
  await migrateKmsTables({ knex });
  const [{ sql }] = (await knex.raw("select sql from sqlite_master where name = 'kms_software_keys'")) as [
    { sql: string },
  ];
  await knex.raw('drop table kms_software_keys');
  await knex.raw(sql.replace('tenant_id varchar(255)', '$& collate nocase'));
  const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
  const provider = dbProvider({ id: 'db', knex, root });
  const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
  await provider.sign(key, DATA);
  await expect(provider.sign({ ...key, tenantId: 'ACME' }, DATA)).rejects.toEqual(INTEGRITY);
  await provider.close();
  await knex.destroy();
});
