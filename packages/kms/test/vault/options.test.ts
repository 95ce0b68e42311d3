import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { type ProviderEntry, type VaultProviderOptions, vaultProvider, vaultProviderType } from '@keywright/kms';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openAnswering, REF } from './answering.ts';

const SECRET = 'hvs.never-to-be-shown';
const GOOD = { id: 'vault', vaultUrl: 'https://vault.example.com:8200', vaultToken: SECRET } as const;

function thrown(make: () => unknown): Error {
  try {
    make();
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected it to throw');
}

describe('options', () => {
  it.each<[string, object]>([
    ['vaultUrl', { vaultUrl: 'vault.example.com' }],
    ['vaultUrl', { vaultUrl: 'http://vault.example.com:8200' }],
    ['vaultUrl', { vaultUrl: `https://user:${SECRET}@vault.example.com` }],
    ['vaultUrl', { vaultUrl: 'https://vault.example.com/?x=1' }],
    ['vaultUrl', { vaultUrl: 'https://vault.example.com:8200/v1/' }],
    ['vaultUrl', { vaultUrl: undefined }],
    ['auth', { vaultToken: undefined }],
    ['auth', { auth: { token: SECRET } }],
    ['vaultToken', { vaultToken: `${SECRET}\r\nx-other: 1` }],
    ['vaultToken', { vaultToken: '' }],
    ['auth', { vaultToken: undefined, auth: { token: SECRET, tokenFile: '/x' } }],
    ['auth', { vaultToken: undefined, auth: { password: SECRET } }],
    ['auth', { vaultToken: undefined, auth: {} }],
    ['auth', { vaultToken: undefined, auth: SECRET }],
    ['auth.appRole', { vaultToken: undefined, auth: { appRole: 'x' } }],
    ['auth.appRole.secretId', { vaultToken: undefined, auth: { appRole: { roleId: 'r' } } }],
    [
      'auth.appRole.mount',
      { vaultToken: undefined, auth: { appRole: { roleId: 'r', secretId: SECRET, mount: '../x' } } },
    ],
    ['auth.kubernetes.role', { vaultToken: undefined, auth: { kubernetes: {} } }],
    ['auth.kubernetes.mount', { vaultToken: undefined, auth: { kubernetes: { role: 'r', mount: 'a/../b' } } }],
    ['auth.tokenFile', { vaultToken: undefined, auth: { tokenFile: '' } }],
    ['namespace', { namespace: 'a b' }],
    ['mountPrefix', { mountPrefix: '../sys' }],
    ['mountPrefix', { mountPrefix: 'a//b' }],
    ['mountPrefix', { mountPrefix: 'acme?x' }],
    ['mount', { mount: 'transit/' }],
    ['mount', { mount: 'transit', mountPrefix: 'keywright' }],
    ['allowHttp', { allowHttp: 'yes' }],
    ['tls', { tls: SECRET }],
    ['tls', { tls: { cert: 'only one' } }],
    ['timeoutMs', { timeoutMs: 0 }],
    ['id', { id: '' }],
  ])('%s is refused by its name in %j, and nothing of a secret shows', (argument, over) => {
    const error = thrown(() => vaultProvider({ ...GOOD, ...over } as VaultProviderOptions));
    expect(error).toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT', context: { argument } });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(SECRET);
  });

  it('a provider shows no credential when it is inspected or written as JSON', async () => {
    const provider = vaultProvider({
      ...GOOD,
      vaultToken: undefined,
      auth: { appRole: { roleId: 'r', secretId: SECRET } },
    });
    expect(inspect(provider, { depth: 20, showHidden: true })).not.toContain(SECRET);
    expect(JSON.stringify(provider)).not.toContain(SECRET);
    await provider.close();
  });

  it('the namespace goes with every request but that for the health of the server', async () => {
    const namespaces = new Set<unknown>();
    const { provider, requests } = await openAnswering(
      ({ path, headers }) => {
        if (path !== '/v1/sys/health') namespaces.add(headers['x-vault-namespace']);
        return undefined;
      },
      { namespace: 'team/a' },
    );
    await provider.deleteKey(REF);
    await provider.health();
    expect(requests.length).toBeGreaterThan(2);
    expect([...namespaces]).toEqual(['team/a']);
  });
});

describe('vault in kms.json', () => {
  const validate = new Ajv2020({ strict: false }).compile(vaultProviderType.schema);
  const entry = (over: object): ProviderEntry => {
    const { id, vaultUrl } = GOOD;
    return { id, vaultUrl, type: 'vault', ...over };
  };

  it.each([
    { vaultToken: SECRET },
    { tokenFile: '/vault/token' },
    { roleId: 'r', secretId: SECRET },
    { roleId: 'r', secretId: SECRET, appRoleMount: 'team/approle' },
    { role: 'signing' },
    { role: 'signing', jwtFile: '/jwt', kubernetesMount: 'k8s' },
    { vaultToken: SECRET, namespace: 'a', mountPrefix: 'keys', timeoutMs: 5, description: 'ours' },
    { vaultToken: SECRET, mount: 'transit' },
  ])('takes %j', async (over) => {
    expect(validate(entry(over))).toBe(true);
    const provider = vaultProviderType.create(entry(over), {});
    expect(provider).toMatchObject({ id: 'vault', type: 'vault' });
    await provider.close();
  });

  it.each([{}, { vaultToken: SECRET, tokenFile: '/vault/token' }, { role: 'signing', roleId: 'r', secretId: SECRET }])(
    'refuses %j: it is not exactly one way to log in',
    (over) => {
      const error = thrown(() => vaultProviderType.create(entry(over), {}));
      expect(error).toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT', context: { argument: 'vaultToken' } });
      expect(inspect(error, { depth: 9 })).not.toContain(SECRET);
    },
  );

  it.each([{ roleId: 'r' }, { secretId: SECRET }, { appRoleMount: 'x' }, { jwtFile: 'x' }])(
    'refuses %j by its schema: half of a way',
    (over) => {
      expect(validate(entry(over))).toBe(false);
    },
  );

  it('every secret is marked as one', () => {
    const properties = vaultProviderType.schema.properties as Record<string, { writeOnly?: boolean }>;
    const secrets = Object.keys(properties).filter((name) => properties[name]?.writeOnly === true);
    expect(secrets).toEqual(['vaultToken', 'secretId']);
  });

  it('connects to nothing, and logs in when it is first asked', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'keywright-vault-type-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const tokenFile = join(folder, 'token');
    const provider = vaultProviderType.create(entry({ tokenFile, vaultUrl: 'http://127.0.0.1:1' }), {});
    expect(await provider.health()).toMatchObject({ ok: false, code: 'ERR_KMS_UNAVAILABLE' });
    writeFileSync(tokenFile, SECRET);
    await provider.close();
  });
});
