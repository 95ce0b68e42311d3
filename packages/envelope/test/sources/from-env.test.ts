import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKeyBase64 } from '@keywright/envelope';
import {
  keySourceFromEnv,
  loadKeyring,
  makePassphraseParameters,
  masterSecretSource,
} from '@keywright/envelope/sources';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rejection, shown } from './support.ts';
import { TOKEN, type VaultServer, vaultServer } from './vault-server.ts';

const KEY = generateKeyBase64();
const SECRET = 'canary-master-secret-0123456789abcdef';
const folder = mkdtempSync(join(tmpdir(), 'keywright-from-env-'));
const emptyFile = join(folder, 'empty');
writeFileSync(emptyFile, '');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('ENCRYPTION_KEY_SOURCE', () => {
  it.each([undefined, '', ' ', 'ENV', 'vaults', '__proto__', 'constructor', 'env,vault'])(
    'of %j is an error, however much else is set: nothing is derived, nothing is tried',
    (selector) => {
      const env = {
        ENCRYPTION_KEY_SOURCE: selector,
        MASTER_SECRET: SECRET,
        KEYWRIGHT_KEY: KEY,
        ENCRYPTION_KEY_FILE: '/x',
      };
      expect(() => keySourceFromEnv({ env })).toThrow(
        expect.objectContaining({
          code: 'ERR_KEY_SOURCE_CONFIG',
          context: expect.objectContaining({ variable: 'ENCRYPTION_KEY_SOURCE' }),
        }),
      );
    },
  );

  const vault = { ENCRYPTION_KEY_SOURCE: 'vault', VAULT_ADDR: 'https://vault.example.com', VAULT_TOKEN: TOKEN };

  it.each<[string, Record<string, string>]>([
    ['MASTER_SECRET', { ENCRYPTION_KEY_SOURCE: 'env' }],
    ['MASTER_SECRET', { ENCRYPTION_KEY_SOURCE: 'env', MASTER_SECRET: 'canary' }],
    ['ENCRYPTION_KEY_FILE', { ENCRYPTION_KEY_SOURCE: 'file' }],
    [
      'ENCRYPTION_KEY_FILE_GROUP_READ',
      { ENCRYPTION_KEY_SOURCE: 'file', ENCRYPTION_KEY_FILE: '/x', ENCRYPTION_KEY_FILE_GROUP_READ: 'yes' },
    ],
    ['ENCRYPTION_PASSPHRASE', { ENCRYPTION_KEY_SOURCE: 'passphrase' }],
    ['ENCRYPTION_PASSPHRASE_PARAMETERS', { ENCRYPTION_KEY_SOURCE: 'passphrase', ENCRYPTION_PASSPHRASE: SECRET }],
    [
      'ENCRYPTION_PASSPHRASE_PARAMETERS',
      {
        ENCRYPTION_KEY_SOURCE: 'passphrase',
        ENCRYPTION_PASSPHRASE: SECRET,
        ENCRYPTION_PASSPHRASE_PARAMETERS: 'canary',
      },
    ],
    ['VAULT_ADDR', { ...vault, VAULT_ADDR: '' }],
    ['VAULT_ADDR', { ...vault, VAULT_ADDR: 'http://canary@vault.example.com' }],
    ['VAULT_TOKEN', { ...vault, VAULT_TOKEN: 'canary canary' }],
    ['VAULT_TOKEN, VAULT_TOKEN_FILE, VAULT_KUBERNETES_ROLE, VAULT_ROLE_ID', { ...vault, VAULT_TOKEN: '' }],
    [
      'VAULT_TOKEN, VAULT_TOKEN_FILE, VAULT_KUBERNETES_ROLE, VAULT_ROLE_ID',
      { ...vault, VAULT_KUBERNETES_ROLE: 'acme' },
    ],
    ['VAULT_SECRET_ID', { ...vault, VAULT_TOKEN: '', VAULT_ROLE_ID: 'r' }],
    ['VAULT_ENCRYPTION_KEY_PATH', { ...vault, VAULT_ENCRYPTION_KEY_PATH: '/canary/' }],
    ['VAULT_CACERT', { ...vault, VAULT_CACERT: join(folder, 'none') }],
    ['VAULT_CACERT', { ...vault, VAULT_CACERT: '/dev/null' }],
    ['VAULT_CACERT', { ...vault, VAULT_CACERT: emptyFile }],
    ['ENCRYPTION_KEY_ID', { ENCRYPTION_KEY_SOURCE: 'env-keys', KEYWRIGHT_KEY: KEY, ENCRYPTION_KEY_ID: 'v2' }],
    ['AWS_ENCRYPTION_SECRET_NAME', { ENCRYPTION_KEY_SOURCE: 'aws', AWS_REGION: 'us-east-1' }],
    ['AWS_ENCRYPTION_PARAMETER_NAME', { ENCRYPTION_KEY_SOURCE: 'aws-ssm', AWS_REGION: 'us-east-1' }],
    ['AZURE_KEYVAULT_URL', { ENCRYPTION_KEY_SOURCE: 'azure', AZURE_ENCRYPTION_SECRET_NAME: 'x' }],
    [
      'AZURE_KEYVAULT_URL',
      { ENCRYPTION_KEY_SOURCE: 'azure', AZURE_KEYVAULT_URL: 'http://canary', AZURE_ENCRYPTION_SECRET_NAME: 'x' },
    ],
    [
      'AZURE_ENCRYPTION_SECRET_NAME',
      { ENCRYPTION_KEY_SOURCE: 'azure', AZURE_KEYVAULT_URL: 'https://acme.vault.azure.net' },
    ],
    ['GCP_ENCRYPTION_SECRET_NAME', { ENCRYPTION_KEY_SOURCE: 'gcp' }],
    ['GCP_ENCRYPTION_SECRET_NAME', { ENCRYPTION_KEY_SOURCE: 'gcp', GCP_ENCRYPTION_SECRET_NAME: 'canary' }],
  ])('names the variable that is missing or wrong: %s', async (variable, env) => {
    const error = await rejection((async () => keySourceFromEnv({ env }))());
    expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_CONFIG', context: { variable } });
    expect(shown(error)).not.toContain('canary');
  });

  it('names the variable of a kid too', () => {
    const env = { ENCRYPTION_KEY_SOURCE: 'env', MASTER_SECRET: SECRET, ENCRYPTION_KEY_ID: 'a b' };
    expect(() => keySourceFromEnv({ env })).toThrow(
      expect.objectContaining({
        code: 'ERR_KEYRING_KID_INVALID',
        context: expect.objectContaining({ variable: 'ENCRYPTION_KEY_ID' }),
      }),
    );
  });

  it.each([
    [
      'azure',
      'azure-key-vault',
      { AZURE_KEYVAULT_URL: 'https://acme.vault.azure.net', AZURE_ENCRYPTION_SECRET_NAME: 'key' },
    ],
    ['gcp', 'gcp-secret-manager', { GCP_ENCRYPTION_SECRET_NAME: 'projects/acme/secrets/key' }],
    ['aws', 'aws-secrets-manager', { AWS_ENCRYPTION_SECRET_NAME: 'key', AWS_REGION: 'us-east-1' }],
    ['aws-ssm', 'aws-ssm', { AWS_ENCRYPTION_PARAMETER_NAME: 'key', AWS_REGION: 'us-east-1' }],
  ])('%s is the source %s', (selector, name, variables) => {
    expect(keySourceFromEnv({ env: { ENCRYPTION_KEY_SOURCE: selector, ...variables } }).name).toBe(name);
  });

  it('env derives from all of MASTER_SECRET, blanks around it included', async () => {
    const logger = { info() {}, warn() {}, error() {} };
    const load = async (secret: string) => {
      const source = keySourceFromEnv({ env: { ENCRYPTION_KEY_SOURCE: 'env', MASTER_SECRET: secret }, logger });
      return await (await loadKeyring(source)).checkValue('v1');
    };
    expect(await load(` ${SECRET} `)).not.toEqual(await load(SECRET));
    const exact = masterSecretSource({ secret: ` ${SECRET} `, logger });
    expect(await load(` ${SECRET} `)).toEqual(await (await loadKeyring(exact)).checkValue('v1'));
  });

  it('env derives the key from MASTER_SECRET, not in production', async () => {
    const logger = { info() {}, warn() {}, error() {} };
    const env = { ENCRYPTION_KEY_SOURCE: 'env', MASTER_SECRET: SECRET, ENCRYPTION_KEY_ID: 'dev' };
    expect((await loadKeyring(keySourceFromEnv({ env, logger }))).activeKid).toBe('dev');
    const production = { ...env, NODE_ENV: 'production' };
    const error = await rejection(keySourceFromEnv({ env: production, logger }).load());
    expect(error.code).toBe('ERR_KEY_SOURCE_NOT_FOR_PRODUCTION');
    const allowed = keySourceFromEnv({ env: production, logger, allowInProduction: true });
    expect((await allowed.load()).activeKid).toBe('dev');
  });

  it('env-keys, file and passphrase read theirs', async () => {
    const path = join(folder, 'key');
    writeFileSync(path, JSON.stringify({ activeKid: 'v7', keys: { v7: KEY } }), { mode: 0o600 });
    const passphrase = 'canary battery horse';
    const costs = { algorithm: 'argon2id', memoryKib: 19_456, passes: 2, parallelism: 1 } as const;
    const parameters = await makePassphraseParameters(passphrase, costs);
    const kidOf = async (env: Record<string, string>): Promise<string> =>
      (await keySourceFromEnv({ env }).load()).activeKid;
    expect(await kidOf({ ENCRYPTION_KEY_SOURCE: 'env-keys', KEYWRIGHT_KEY: KEY, KEYWRIGHT_KID: 'k' })).toBe('k');
    expect(await kidOf({ ENCRYPTION_KEY_SOURCE: 'file', ENCRYPTION_KEY_FILE: path })).toBe('v7');
    const variables = { ENCRYPTION_PASSPHRASE: passphrase, ENCRYPTION_PASSPHRASE_PARAMETERS: parameters };
    expect(await kidOf({ ENCRYPTION_KEY_SOURCE: 'passphrase', ...variables })).toBe('v1');
  });

  describe('vault', () => {
    let server: VaultServer;
    beforeAll(async () => {
      server = await vaultServer();
      server.secret = { key: KEY };
    });
    afterAll(() => server.close());

    it('reads the path of the documentation unless another is set', async () => {
      const env = {
        ENCRYPTION_KEY_SOURCE: 'vault',
        VAULT_ADDR: server.url,
        VAULT_TOKEN: TOKEN,
        VAULT_NAMESPACE: 'acme',
      };
      expect((await rejection(keySourceFromEnv({ env }).load())).code).toBe('ERR_KEY_SOURCE_NOT_FOUND');
      expect(server.seen.at(-1)).toMatchObject({
        url: '/v1/secret/data/eudiplo/encryption-key',
        headers: { 'x-vault-namespace': 'acme' },
      });
      const material = await keySourceFromEnv({
        env: { ...env, VAULT_ENCRYPTION_KEY_PATH: 'secret/data/acme/key' },
      }).load();
      expect(Buffer.from(material.keys.v1 as Uint8Array).toString('base64')).toBe(KEY);
    });

    it('logs in by a token file or AppRole', async () => {
      const tokenFile = join(folder, 'vault-token');
      writeFileSync(tokenFile, TOKEN);
      const env = {
        ENCRYPTION_KEY_SOURCE: 'vault',
        VAULT_ADDR: server.url,
        VAULT_ENCRYPTION_KEY_PATH: 'secret/data/acme/key',
      };
      for (const way of [{ VAULT_TOKEN_FILE: tokenFile }, { VAULT_ROLE_ID: 'r', VAULT_SECRET_ID: 's' }]) {
        expect((await keySourceFromEnv({ env: { ...env, ...way } }).load()).activeKid).toBe('v1');
      }
      const kubernetes = keySourceFromEnv({ env: { ...env, VAULT_KUBERNETES_ROLE: 'acme' } });
      // Not in a pod: its service account's token isn't there, and nothing else is tried.
      expect((await rejection(kubernetes.load())).code).toBe('ERR_KEY_SOURCE_NO_CREDENTIALS');
    });
  });
});
