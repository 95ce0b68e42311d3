import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { KmsError, loadKmsRegistry } from '@keywright/kms';
import * as kmsAws from '@keywright/kms-aws';
import { type AwsKmsProviderOptions, awsKmsProvider, awsKmsProviderType } from '@keywright/kms-aws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refusalOf } from './support.ts';

const GOOD = { id: 'aws', region: 'eu-central-1' };
const SECRET = 'canary-of-a-secret-access-key';

function refusal(options: object): KmsError {
  try {
    awsKmsProvider(options as AwsKmsProviderOptions);
  } catch (error) {
    if (error instanceof KmsError) return error;
    throw error;
  }
  throw new Error('The options must be refused.');
}

it('exports a provider and its type', () => {
  expect(Object.keys(kmsAws).sort()).toEqual(['awsKmsProvider', 'awsKmsProviderType']);
});

describe('options', () => {
  it.each<[string, object]>([
    ['region', { region: undefined }],
    ['region', { region: 'eu-central-1.example.com/' }],
    ['region', { region: 'x@example.com#-1' }],
    ['secretAccessKey', { accessKeyId: 'AKIDEXAMPLE' }],
    ['accessKeyId', { secretAccessKey: SECRET }],
    ['sessionToken', { sessionToken: SECRET }],
    ['secretAccessKey', { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: `${SECRET}\n` }],
    ['endpoint', { endpoint: 'http://kms.example.com' }],
    ['endpoint', { endpoint: `https://user:${SECRET}@kms.example.com` }],
    ['endpoint', { endpoint: 'file:///etc/passwd' }],
    ['endpoint', { endpoint: 7 }],
    ['aliasPrefix', { aliasPrefix: 'aws/mine' }],
    ['aliasPrefix', { aliasPrefix: 'with space' }],
    ['tags', { tags: { TenantId: 'x' } }],
    ['tags', { tags: { managedby: 'x' } }],
    ['tags', { tags: { 'aws:x': 'x' } }],
    ['tags', { tags: { Team: 'a&b' } }],
    ['tags', { tags: { Team: 7 } }],
    ['tags', { tags: ['Team'] }],
    ['client', { client: {} }],
    ['client', { client: clientOf(), accessKeyId: 'AKIDEXAMPLE', secretAccessKey: SECRET }],
    ['client', { client: clientOf(), endpoint: 'https://kms.example.com' }],
    ['id', { id: '' }],
    ['timeoutMs', { timeoutMs: 0 }],
  ])('%s is refused by name, without its value: %o', (argument, over) => {
    const error = refusal({ ...GOOD, ...over });
    expect(error).toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT', context: { argument } });
    expect(inspect(error, { depth: 9 })).not.toContain(SECRET);
  });

  it('that are none, or throw when they are read, are refused', () => {
    for (const options of [undefined, null, 'eu-central-1']) {
      expect(refusal(options as never)).toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
    }
    const throwing = {
      ...GOOD,
      get region(): string {
        throw new Error(SECRET);
      },
    };
    const error = refusal(throwing);
    expect(error).toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
    expect(inspect(error, { depth: 9 })).not.toContain(SECRET);
  });

  it('are taken for regions of every partition', async () => {
    for (const region of ['us-east-1', 'us-gov-west-1', 'cn-northwest-1', 'eusc-de-east-1', 'ap-southeast-7']) {
      const provider = awsKmsProvider({ id: 'aws', region });
      expect(provider.type).toBe('aws-kms');
      await provider.close();
    }
  });

  it('say that nothing can be imported in China, where AWS KMS has not the wrapping for it', async () => {
    const provider = awsKmsProvider({ id: 'aws', region: 'cn-north-1' });
    expect(provider.capabilities.algs.ES256).toEqual({ create: true, import: false });
    await provider.close();
  });
});

describe('the type of kms.json', () => {
  it('makes a provider of an entry, and calls secrets secrets', async () => {
    const { type, schema } = awsKmsProviderType;
    const provider = awsKmsProviderType.create({ ...GOOD, type, description: 'keys of production' }, {});
    expect(provider).toMatchObject({ id: 'aws', type: 'aws-kms' });
    await provider.close();
    const secrets = Object.entries(schema.properties).filter(([, value]) => 'writeOnly' in value);
    expect(secrets.map(([name]) => name)).toEqual(['secretAccessKey', 'sessionToken']);
    expect(schema.required).toEqual(['region']);
  });
});

describe('kms.json with a provider of type aws-kms', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'keywright-kms-aws-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const load = (members: object, env: Record<string, string> = {}) => {
    const entry = { id: 'aws', type: 'aws-kms', region: 'eu-central-1', ...members };
    writeFileSync(join(folder, 'kms.json'), JSON.stringify({ providers: [entry] }));
    return loadKmsRegistry({ folder, env, types: [awsKmsProviderType] });
  };

  it('takes keys from the environment and echoes that they are set, not what they are', async () => {
    const registry = await load(
      { accessKeyId: variable('AWS_ACCESS_KEY_ID'), secretAccessKey: variable('AWS_SECRET_ACCESS_KEY') },
      { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: SECRET },
    );
    expect(registry.provider('aws')).toMatchObject({ id: 'aws', type: 'aws-kms' });
    const shown = inspect([registry, registry.echo(), registry.describe()], { depth: 20, showHidden: true });
    expect(shown).not.toContain(SECRET);
    expect(JSON.stringify(registry.echo())).toContain('eu-central-1');
    await registry.close();
  });

  it.each<[string, object]>([
    ['one key of two', { accessKeyId: 'AKIDEXAMPLE' }],
    ['no region', { region: undefined }],
    ['a field that there is not', { vaultUrl: 'https://vault.example.com' }],
    ['a client, which is of code', { client: {} }],
    ['tags that are no texts', { tags: { Team: 7 } }],
  ])('is refused with the path of the error: %s', async (_what, members) => {
    const error = await refusalOf(load(members));
    expect(error).toMatchObject({ code: 'ERR_KMS_CONFIG' });
    expect(JSON.stringify(error)).toContain('providers');
  });

  it('is refused for what only the provider knows, with its path', async () => {
    const error = await refusalOf(load({ endpoint: `http://user:${SECRET}@kms.example.com` }));
    expect(error).toMatchObject({ code: 'ERR_KMS_CONFIG' });
    expect(JSON.stringify(error)).toContain('endpoint');
    expect(inspect(error, { depth: 9 })).not.toContain(SECRET);
  });
});

function variable(name: string): string {
  return `\${${name}}`;
}

function clientOf(): object {
  const called = (): never => {
    throw new Error('Nothing is called here.');
  };
  return new Proxy({}, { get: () => called });
}
