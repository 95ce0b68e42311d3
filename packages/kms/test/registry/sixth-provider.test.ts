// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what kms.json may hold
import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
import {
  defineProvider,
  type KmsCapabilities,
  KmsError,
  type KmsProviderType,
  loadKmsRegistry,
  migrateKmsTables,
  signJws,
} from '@keywright/kms';
import { kmsConformance } from '@keywright/kms/conformance';
import { compactVerify, importJWK } from 'jose';
import createKnex from 'knex';
import { describe, expect, it } from 'vitest';
import { folderWith, refusal } from './support.ts';

const CAPABILITIES: KmsCapabilities = {
  algs: { ES256: { create: true, import: false } },
  defaultAlg: 'ES256',
  deleteKey: 'immediate',
  listKeys: false,
  exportKey: false,
  wrapKey: false,
};

/** A sixth type, written as a third party would: against what the package exports, and nothing else. */
const memoryType: KmsProviderType = {
  type: 'memory',
  schema: {
    type: 'object',
    properties: { passphrase: { type: 'string', writeOnly: true }, maxKeys: { type: 'integer', minimum: 1 } },
    required: ['passphrase'],
  },
  create({ id, maxKeys }) {
    const keys = new Map<string, KeyObject>();
    const find = (externalId: string): KeyObject => {
      const key = keys.get(externalId);
      if (key === undefined) throw new KmsError('ERR_KMS_KEY_NOT_FOUND');
      return key;
    };
    return defineProvider(
      {
        type: 'memory',
        reach: 'local',
        capabilities: CAPABILITIES,
        async createKey({ name }) {
          if (keys.size >= Number(maxKeys)) throw new KmsError('ERR_KMS_DENIED');
          const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
          keys.set(name, privateKey);
          return { externalId: name, externalVersion: null, publicKey: publicKey.export({ format: 'jwk' }) };
        },
        async getPublicKey({ externalId }) {
          return createPublicKey(find(externalId)).export({ format: 'jwk' });
        },
        async sign({ externalId }, data) {
          return sign('sha256', data, { key: find(externalId), dsaEncoding: 'ieee-p1363' });
        },
        async deleteKey({ externalId }) {
          keys.delete(externalId);
        },
        async probe() {},
        async close() {
          keys.clear();
        },
      },
      { id },
    );
  },
};

kmsConformance('a sixth type, of kms.json', {
  capabilities: CAPABILITIES,
  tenantsApart: false,
  async start() {
    const folder = await folderWith({ providers: [{ id: 'ram', type: 'memory', passphrase: 'canary-6th' }] });
    const registry = await loadKmsRegistry({ folder, env: {}, types: [memoryType] });
    return { provider: registry.provider(), secrets: ['canary-6th'], dispose: () => registry.close() };
  },
});

describe('a provider that nothing of ours knows', () => {
  it('is named in kms.json, signs, and is described, asked for its health and closed as any other', async () => {
    const folder = await folderWith({
      providers: [{ id: 'ram', type: 'memory', passphrase: '${PASSPHRASE}', maxKeys: '${MAX_KEYS:2}' }],
    });
    const env = { CONFIG_FOLDER: folder, PASSPHRASE: 'canary-6th' };
    const registry = await loadKmsRegistry({ env, types: [memoryType] });
    const provider = registry.provider();
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });

    const data = Buffer.from('hello');
    const signature = await provider.sign(key, data);
    const publicKey = createPublicKey({ format: 'jwk', key: { ...key.publicJwk } });
    expect(verify('sha256', data, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true);
    const jws = await signJws(provider, key, data);
    const { payload } = await compactVerify(jws, await importJWK(key.publicJwk, 'ES256'));
    expect(Buffer.from(payload)).toEqual(data);

    expect(registry.describe()).toMatchObject([
      { id: 'ram', type: 'memory', supportedAlgs: ['ES256'], canImport: false },
    ]);
    expect(await registry.health()).toMatchObject([{ providerId: 'ram', type: 'memory', ok: true }]);
    expect(JSON.stringify(registry)).not.toContain('canary-6th');
    await provider.createKey({ tenantId: 'acme', keyId: 'k2' });
    expect(await refusal(provider.createKey({ tenantId: 'acme', keyId: 'k3' }))).toMatchObject({
      code: 'ERR_KMS_DENIED',
    });
    await registry.close();
    expect(await refusal(provider.sign(key, data))).toMatchObject({ code: 'ERR_KMS_CLOSED' });
  });

  it('is refused by its own schema as any other', async () => {
    const load = async (entry: object) => {
      const folder = await folderWith({ providers: [{ id: 'ram', type: 'memory', ...entry }] });
      return await refusal(loadKmsRegistry({ folder, env: {}, types: [memoryType] }));
    };
    expect((await load({})).context.field).toBe('/providers/0/passphrase');
    expect((await load({ passphrase: 'p', maxKeys: 0 })).context.field).toBe('/providers/0/maxKeys');
    expect((await load({ passphrase: 'p', pin: '1' })).context.field).toBe('/providers/0/pin');
  });
});

describe('the types that every registry knows', () => {
  const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });

  it('without a file, one db provider makes keys and signs', async () => {
    const knex = createKnex({ client: 'better-sqlite3', connection: { filename: ':memory:' }, useNullAsDefault: true });
    try {
      await migrateKmsTables({ knex });
      const folder = await folderWith({});
      for (const env of [{}, { CONFIG_FOLDER: '' }, { CONFIG_FOLDER: join(folder, '..') }]) {
        const told: string[] = [];
        const info = (message: string): void => {
          told.push(message);
          throw new Error('log file is full');
        };
        const registry = await loadKmsRegistry({ env, knex, root, logger: { info, warn: info, error: info } });
        expect(told).toEqual([expect.stringContaining('no kms.json')]);
        expect(registry.defaultProvider).toBe('db');
        expect(registry.echo().providers).toMatchObject([{ id: 'db', type: 'db' }]);
        const provider = registry.provider();
        const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
        const { payload } = await compactVerify(
          await signJws(provider, key, Buffer.from('x')),
          await importJWK(key.publicJwk, 'ES256'),
        );
        expect(Buffer.from(payload).toString()).toBe('x');
        await registry.close();
      }
    } finally {
      await knex.destroy();
    }
  });

  it('a db provider without its database or root key is refused at start', async () => {
    const missing = { code: 'ERR_KMS_CONFIG', context: { argument: 'services.knex', field: '/providers/0' } };
    expect(await refusal(loadKmsRegistry({ env: {}, root }))).toMatchObject(missing);
  });

  it('what their constructors refuse is refused by its path', async () => {
    const load = async (entry: object, env = {}) => {
      const folder = await folderWith({ providers: [{ id: 'first', ...entry }] });
      return await refusal(loadKmsRegistry({ folder, env }));
    };
    const token = 'canary-0b7c55';
    const errors = [
      [await load({ type: 'vault', vaultUrl: 'http://vault.example', vaultToken: token }), 'vaultUrl'],
      [await load({ type: 'vault', vaultUrl: `https://u:${token}@vault.example`, vaultToken: 't' }), 'vaultUrl'],
      [await load({ type: 'vault', vaultUrl: '${U}', vaultToken: 't' }, { U: `${token}://x` }), 'vaultUrl'],
      [await load({ type: 'vault', vaultUrl: 'https://vault.example' }), 'vaultToken'],
      [await load({ type: 'vault', vaultUrl: 'https://vault.example', roleId: token }), 'secretId'],
      [await load({ type: 'http', baseUrl: `ftp://${token}` }), 'baseUrl'],
      [await load({ type: 'http', baseUrl: 'https://kms.example', keysPath: '../../x' }), 'keysPath'],
      [await load({ type: 'db', cachedKeys: 0 }), 'cachedKeys'],
    ] as const;
    for (const [error, member] of errors) {
      expect(error).toMatchObject({ code: 'ERR_KMS_CONFIG', context: { field: `/providers/0/${member}` } });
      expect(JSON.stringify(error) + error.stack + String(error.cause)).not.toContain(token);
    }
  });

  it('are configured as the prior system has them', async () => {
    const folder = await folderWith('{}');
    await writeFile(
      join(folder, 'kms.json'),
      JSON.stringify({
        defaultProvider: 'main-vault',
        providers: [
          { id: 'db', type: 'db', description: 'Default database provider' },
          { id: 'main-vault', type: 'vault', vaultUrl: '${VAULT_URL}', vaultToken: '${VAULT_TOKEN}' },
          { id: 'backup-vault', type: 'vault', vaultUrl: 'http://localhost:8200', vaultToken: '${BACKUP:none}' },
          { id: 'remote-kms', type: 'http', baseUrl: '${KMS_URL}', apiKey: '${KMS_KEY}', canImport: '${IMPORT:true}' },
        ],
      }),
    );
    const env = {
      VAULT_URL: 'https://vault.example',
      VAULT_TOKEN: 'canary-t',
      KMS_URL: 'https://kms.example',
      KMS_KEY: 'canary-k',
    };
    const knex = createKnex({ client: 'better-sqlite3', useNullAsDefault: true });
    const registry = await loadKmsRegistry({ folder, env, knex, root });
    expect(registry.describe().map(({ id, type, canImport }) => [id, type, canImport])).toEqual([
      ['db', 'db', true],
      ['main-vault', 'vault', true],
      ['backup-vault', 'vault', true],
      ['remote-kms', 'http', true],
    ]);
    expect(registry.provider().id).toBe('main-vault');
    expect(registry.echo().providers[1]).toEqual({
      id: 'main-vault',
      type: 'vault',
      vaultUrl: '${VAULT_URL}',
      vaultToken: '[redacted]',
    });
    expect(JSON.stringify(registry)).not.toContain('canary');
    await registry.close();
    await knex.destroy();
  });
});
