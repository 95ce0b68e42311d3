import { generateKeyPairSync } from 'node:crypto';
import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
import { dbProvider, dbProviderType, migrateKmsTables, rewrapSoftwareKeys, verifySignature } from '@keywright/kms';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex from 'knex';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sampleKey } from '../../src/conformance/sample-keys.ts';
import { type DbFixture, openDbFixture } from './fixture.ts';

describeEachEngine('the db provider', (engine) => {
  let fixture: DbFixture;
  beforeAll(async () => {
    fixture = await openDbFixture(engine);
  });
  afterAll(() => fixture.close());

  it('leaves the event loop to others while RSA keys sign', async () => {
    const { provider } = fixture;
    const privateJwk = sampleKey('RS256');
    const key = await provider.importKey({ tenantId: 'acme', keyId: 'rsa', alg: 'RS256', privateJwk });
    await provider.sign(key, Buffer.of(1));
    const events: string[] = [];
    setImmediate(() => events.push('turn'));
    const sign = async (index: number): Promise<void> => {
      await provider.sign(key, Buffer.of(index));
      events.push('signed');
    };
    await Promise.all(Array.from({ length: 64 }, (_, index) => sign(index)));
    // On this thread all would be signed before the event loop's next turn.
    expect(events.indexOf('turn')).toBeGreaterThanOrEqual(0);
    expect(events.indexOf('turn')).toBeLessThan(events.lastIndexOf('signed'));
  });

  it('lists keys of all tenants or of one, whatever characters tenants have', async () => {
    const { provider } = fixture;
    const tenants = ['acme', 'a\u0301cme', '%_\'"', 'zebra🦓', 'Acme'];
    for (const tenantId of tenants) await provider.createKey({ tenantId, keyId: 'k1' });
    const all: (string | undefined)[] = [];
    let cursor: string | undefined;
    do {
      const page = await provider.listKeys({ limit: 2, cursor });
      all.push(...page.keys.map((key) => key.tenantId));
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect([...all].sort()).toEqual([...tenants, 'acme'].sort());
    const own = await provider.listKeys({ tenantId: '%_\'"' });
    expect(own.keys.map((key) => key.tenantId)).toEqual(['%_\'"']);
    const bad = { code: 'ERR_KMS_INVALID_ARGUMENT', context: { argument: 'cursor' } };
    for (const wrong of ['x', Buffer.from('["a"]').toString('base64url'), Buffer.from('[1,2]').toString('base64url')]) {
      await expect(provider.listKeys({ cursor: wrong })).rejects.toMatchObject(bad);
    }
  });

  it('keeps its keys where the tables option says', async () => {
    const { knex, root } = fixture;
    const tables = { prefix: 'own_' };
    const provider = dbProvider({ id: 'db', knex, root, tables });
    const key = { tenantId: 'acme', keyId: 'k1' };
    await expect(provider.createKey(key)).rejects.toMatchObject({ code: 'ERR_KMS_NOT_MIGRATED' });
    await migrateKmsTables({ knex, tables });
    const { externalId } = await provider.createKey(key);
    expect(await knex('own_kms_software_keys').pluck('external_id')).toEqual([externalId]);
    await provider.close();
  });

  it('works where the host’s knex renames columns both ways, as snake case mappers do', async () => {
    const renamed = (row: unknown): unknown => {
      if (typeof row !== 'object' || row === null) return row;
      const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
      return Object.fromEntries(Object.entries(row).map(([name, value]) => [camel(name), value]));
    };
    const knex = createKnex({
      ...fixture.knex.client.config,
      wrapIdentifier: (name, wrap) => wrap(name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)),
      postProcessResponse: (result) => (Array.isArray(result) ? result.map(renamed) : renamed(result)),
    });
    const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
    const provider = dbProvider({ id: 'mapped', knex, root, recheckMs: 0 });
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
    root.add('v2', generateKeyBase64());
    root.activate('v2');
    const done = await rewrapSoftwareKeys({ knex, root, providerId: 'mapped' });
    expect(done).toMatchObject({ rewrapped: 1, remaining: 0 });
    for (let index = 0; index < 2; index++) {
      const signature = await provider.sign(key, Buffer.of(1));
      expect(verifySignature('ES256', key.publicJwk, Buffer.of(1), signature)).toBe(true);
    }
    const { externalId } = key;
    expect((await provider.listKeys()).keys).toEqual([{ externalId, name: externalId, tenantId: 'acme' }]);
    await provider.deleteKey(key);
    expect((await provider.listKeys()).keys).toEqual([]);
    await provider.close();
    await knex.destroy();
  });

  it('is made of an entry of kms.json and the services of the host', async () => {
    const { knex, root } = fixture;
    const provider = dbProviderType.create({ id: 'keys', type: 'db', recheckMs: 0 }, { knex, root });
    const { privateKey } = generateKeyPairSync('ed25519');
    const privateJwk = privateKey.export({ format: 'jwk' }) as never;
    const key = await provider.importKey({ tenantId: 'acme', keyId: 'k1', alg: 'EdDSA', privateJwk });
    expect(await provider.exportKey(key)).toEqual(privateJwk);
    expect(await provider.health()).toMatchObject({ providerId: 'keys', type: 'db', ok: true });
    await provider.close();
  });
});

describe('options of the db provider', () => {
  const knex = createKnex({ client: 'better-sqlite3', connection: { filename: ':memory:' }, useNullAsDefault: true });
  const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
  afterAll(() => knex.destroy());

  it.each([
    [{ id: '' }, 'id'],
    [{ id: '../x' }, 'id'],
    [{ knex: undefined }, 'knex'],
    [{ knex: 'postgres://' }, 'knex'],
    [{ root: undefined }, 'root'],
    [{ root: { activeKid: 'v1' } }, 'root'],
    [{ tables: { prefix: 'a"b' } }, 'tables.prefix'],
    [{ cachedKeys: 0 }, 'cachedKeys'],
    [{ cachedKeys: 1e9 }, 'cachedKeys'],
    [{ cachedKeyTtlMs: 0 }, 'cachedKeyTtlMs'],
    [{ recheckMs: -1 }, 'recheckMs'],
    [{ recheckMs: '1' }, 'recheckMs'],
    [{ unlockTimeoutMs: Number.NaN }, 'unlockTimeoutMs'],
    [{ timeoutMs: 2 ** 31 }, 'timeoutMs'],
  ])('refuses %j', (over, argument) => {
    const make = () => dbProvider({ id: 'db', knex, root, ...(over as object) });
    const context = expect.objectContaining({ argument });
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_KMS_INVALID_ARGUMENT', context }));
  });

  it('refuses an entry whose services the host did not give, and names them', () => {
    const entry = { id: 'db', type: 'db' };
    for (const [services, field] of [
      [{ root }, 'services.knex'],
      [{ knex }, 'services.root'],
      [{}, 'services.knex'],
    ] as const) {
      const refused = expect.objectContaining({ code: 'ERR_KMS_CONFIG', context: expect.objectContaining({ field }) });
      expect(() => dbProviderType.create(entry, services)).toThrow(refused);
    }
  });
});
