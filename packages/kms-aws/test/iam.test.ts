import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { KmsProvider, PrivateJwk } from '@keywright/kms';
import type { AwsKmsProviderOptions } from '@keywright/kms-aws';
import { describeOnAwsKms } from '@keywright/testkit/aws';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { providerAt, refusalOf, sdkAt } from './support.ts';

const DATA = Buffer.from('data');

interface Statement {
  readonly Sid: string;
  readonly Action: readonly string[];
}

/** The policy that the README prints. */
function printedPolicy(): { readonly Statement: readonly Statement[] } {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const [, json] = /```json\n(\{\n {2}"Version": "2012-10-17"[\s\S]*?\n\})\n```/.exec(readme) ?? [];
  return JSON.parse(json as string) as { Statement: readonly Statement[] };
}

describeOnAwsKms('an identity of IAM', (server) => {
  const opened: KmsProvider[] = [];
  let users = 0;

  const iam = async (action: string, parameters: Record<string, string>): Promise<string> => {
    const response = await fetch(server().iamUrl, {
      method: 'POST',
      body: new URLSearchParams({ Action: action, Version: '2010-05-08', ...parameters }),
      // MiniStack does not verify signatures of its root.
      headers: {
        authorization:
          'AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0',
      },
    });
    const text = await response.text();
    expect(response.status, text).toBe(200);
    return text;
  };

  const open = (keys: Partial<AwsKmsProviderOptions>): KmsProvider => {
    const provider = providerAt(server().url, keys);
    opened.push(provider);
    return provider;
  };

  /** Keys of a new user with this policy, or none. */
  const keysOf = async (statements: readonly object[]): Promise<{ accessKeyId: string; secretAccessKey: string }> => {
    const user = { UserName: `user${users++}` };
    await iam('CreateUser', user);
    if (statements.length > 0) {
      const document = { Version: '2012-10-17', Statement: statements };
      await iam('PutUserPolicy', { ...user, PolicyName: 'keys', PolicyDocument: JSON.stringify(document) });
    }
    const xml = await iam('CreateAccessKey', user);
    const read = (name: string): string => new RegExp(`<${name}>([^<]+)<`).exec(xml)?.[1] as string;
    return { accessKeyId: read('AccessKeyId'), secretAccessKey: read('SecretAccessKey') };
  };
  const providerOf = async (statements: readonly object[]): Promise<KmsProvider> => open(await keysOf(statements));

  let root: KmsProvider;
  beforeAll(() => {
    root = open({});
  });
  afterAll(async () => {
    for (const provider of opened) await provider.close();
  });

  it('with the policy of the README makes, lists, uses, imports and deletes keys', async () => {
    const provider = await providerOf(printedPolicy().Statement);
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
    await expect(provider.sign(key, DATA)).resolves.toHaveLength(64);
    const { keys } = await provider.listKeys({ limit: 1000 });
    expect(keys).toContainEqual(expect.objectContaining({ externalId: key.externalId }));
    expect(await provider.health()).toMatchObject({ ok: true });
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const privateJwk = privateKey.export({ format: 'jwk' }) as PrivateJwk;
    const imported = await provider.importKey({ tenantId: 'acme', keyId: 'k2', alg: 'ES256', privateJwk });
    await expect(provider.sign(imported, DATA)).resolves.toHaveLength(64);
    for (const made of [key, imported, imported]) await provider.deleteKey(made);
  });

  it('with the policy of the README can do nothing with keys of others in the account', async () => {
    const provider = await providerOf(printedPolicy().Statement);
    const sdk = sdkAt(server().url);
    const { KeyMetadata } = await sdk.createKey({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' });
    const externalId = KeyMetadata?.Arn as string;
    const key = {
      tenantId: 'acme',
      keyId: 'k1',
      providerId: 'aws',
      externalId,
      externalVersion: null,
      alg: 'ES256',
    } as const;
    const denied = { code: 'ERR_KMS_DENIED', retryable: false };
    expect(await refusalOf(provider.sign(key, DATA))).toMatchObject(denied);
    expect(await refusalOf(provider.deleteKey(key))).toMatchObject(denied);
    const state = (await sdk.describeKey({ KeyId: externalId })).KeyMetadata?.KeyState;
    expect(state).toBe('Enabled');
    sdk.destroy();
  });

  it('that may not make keys cannot get one of others by tagging it', async () => {
    const keys = await keysOf(printedPolicy().Statement.filter(({ Sid }) => Sid !== 'Make'));
    const [admin, sdk] = [sdkAt(server().url), sdkAt(server().url, keys)];
    onTestFinished(() => [admin, sdk].forEach((client) => void client.destroy()));
    const { KeyMetadata } = await admin.createKey({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' });
    const Tags = [{ TagKey: 'ManagedBy', TagValue: 'keywright' }];
    const tagging = sdk.tagResource({ KeyId: KeyMetadata?.Arn, Tags });
    expect(await refusalOf(tagging)).toMatchObject({ name: 'AccessDeniedException' });
  });

  it('without a policy is denied, and asked no second time', async () => {
    const provider = await providerOf([]);
    const key = await root.createKey({ tenantId: 'acme', keyId: 'k1' });
    const before = server().requests.length;
    for (const call of [
      () => provider.sign(key, DATA),
      () => provider.createKey({ tenantId: 'acme', keyId: 'k2' }),
      () => provider.deleteKey(key),
      () => provider.listKeys(),
    ]) {
      expect(await refusalOf(call())).toMatchObject({ code: 'ERR_KMS_DENIED', retryable: false });
    }
    expect(server().requests.length).toBe(before + 4);
    expect(await provider.health()).toMatchObject({ ok: false, code: 'ERR_KMS_DENIED' });
  });

  it('that may make keys and not read them leaves none behind', async () => {
    const make = [
      { Effect: 'Allow', Action: ['kms:CreateKey', 'kms:TagResource', 'kms:ScheduleKeyDeletion'], Resource: '*' },
    ];
    const provider = await providerOf(make);
    expect(await refusalOf(provider.createKey({ tenantId: 'acme', keyId: 'undone' }))).toMatchObject({
      code: 'ERR_KMS_DENIED',
    });
    const { keys } = await root.listKeys({ limit: 1000 });
    expect(keys.filter(({ keyId }) => keyId === 'undone')).toEqual([]);
  });

  it('with a wrong secret, or a token that is no token, has wrong credentials', async () => {
    const keys = await keysOf(printedPolicy().Statement);
    const key = await root.createKey({ tenantId: 'acme', keyId: 'k1' });
    for (const over of [{ secretAccessKey: 'wrong' }, { sessionToken: 'wrong' }]) {
      const provider = open({ ...keys, ...over });
      expect(await refusalOf(provider.sign(key, DATA))).toMatchObject({
        code: 'ERR_KMS_CREDENTIALS',
        retryable: false,
      });
    }
    await expect(open(keys).sign(key, DATA)).resolves.toHaveLength(64);
  });

  it('whose access key nobody knows has wrong credentials', async () => {
    const stranger = open({ accessKeyId: 'AKIAUNKNOWNUNKNOWN00', secretAccessKey: 'x' });
    const key = await root.createKey({ tenantId: 'acme', keyId: 'k1' });
    expect(await refusalOf(stranger.sign(key, DATA))).toMatchObject({ code: 'ERR_KMS_CREDENTIALS', retryable: false });
  });
});
