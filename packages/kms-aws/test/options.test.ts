import { inspect } from 'node:util';
import { KmsError } from '@keywright/kms';
import { type AwsKmsProviderOptions, awsKmsProvider, awsKmsProviderType } from '@keywright/kms-aws';
import { describe, expect, it } from 'vitest';

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

function clientOf(): object {
  const called = (): never => {
    throw new Error('Nothing is called here.');
  };
  return new Proxy({}, { get: () => called });
}
