import { createPublicKey, hash, verify } from 'node:crypto';
import type { KMS } from '@aws-sdk/client-kms';
import { type KmsProvider, type SignAlg, signJws } from '@keywright/kms';
import { type AwsKmsServer, describeOnAwsKms } from '@keywright/testkit/aws';
import { compactVerify, importJWK } from 'jose';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { custodyPlace } from '../../kms/test/support/custody-search.ts';
import { providerAt, publicKeyBySdk, REGION, ROOT, refusalOf, sdkAt } from './support.ts';

const DATA = Buffer.from('data');
const NAME = '0123456789abcdef0123456789abcdef';

describeOnAwsKms('keys in AWS KMS', (server) => {
  let aws: AwsKmsServer;
  let provider: KmsProvider;
  let sdk: KMS;
  beforeAll(() => {
    aws = server();
    provider = providerAt(aws.url);
    sdk = sdkAt(aws.url);
  });
  afterAll(async () => {
    sdk.destroy();
    await provider.close();
  });

  /** Operations that `work` made, with their input. */
  const during = async (work: () => Promise<unknown>): Promise<readonly (readonly [string, unknown])[]> => {
    const before = aws.requests.length;
    await work();
    return aws.requests.slice(before).map(({ operation, input }) => [operation, input]);
  };

  const tagsOf = async (externalId: string): Promise<Record<string, string | undefined>> => {
    const { Tags: tags = [] } = await sdk.listResourceTags({ KeyId: externalId });
    return Object.fromEntries(tags.map(({ TagKey, TagValue }) => [TagKey, TagValue]));
  };

  it.each<{ algs: readonly [SignAlg, ...SignAlg[]] }>([
    { algs: ['ES256'] },
    { algs: ['ES384'] },
    { algs: ['ES512'] },
    { algs: ['EdDSA'] },
    { algs: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] },
  ])('$algs: jose takes a JWS by the public key that the SDK reads', async ({ algs }) => {
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'jws', alg: algs[0] });
    const jwk = await publicKeyBySdk(sdk, key);
    for (const alg of algs) {
      const jws = await signJws(provider, { ...key, alg }, Buffer.from('payload'));
      const { payload, protectedHeader } = await compactVerify(jws, await importJWK(jwk as never, alg));
      expect(Buffer.from(payload).toString()).toBe('payload');
      expect(protectedHeader.alg).toBe(alg);
    }
  });

  it('sends the hash, never the data, for all but Ed25519', async () => {
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1', alg: 'ES384' });
    const mebibyte = Buffer.alloc(1024 * 1024, 7);
    const [one] = await during(() => provider.sign(key, mebibyte));
    expect(one).toEqual([
      'Sign',
      {
        KeyId: key.externalId,
        Message: hash('sha384', mebibyte, 'base64'),
        MessageType: 'DIGEST',
        SigningAlgorithm: 'ECDSA_SHA_384',
      },
    ]);
  });

  it('signs as long a text as AWS KMS takes with Ed25519, and says where that ends', async () => {
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1', alg: 'EdDSA' });
    const most = Buffer.alloc(4096, 1);
    const [one] = await during(async () => {
      const signature = await provider.sign(key, most);
      const publicKey = createPublicKey({ format: 'jwk', key: { ...key.publicJwk } });
      expect(verify(null, most, publicKey, signature)).toBe(true);
    });
    expect(one).toMatchObject(['Sign', { MessageType: 'RAW', SigningAlgorithm: 'ED25519_SHA_512' }]);
    const none = await during(async () => {
      for (const length of [0, 4097]) {
        expect(await refusalOf(provider.sign(key, Buffer.alloc(length)))).toMatchObject({
          code: 'ERR_KMS_INVALID_ARGUMENT',
          context: { argument: 'data', limit: 4096, received: `${length} bytes` },
        });
      }
    });
    expect(none).toEqual([]);
  });

  describe('what a key is called', () => {
    it('is its ARN here and its tags there, from its first moment', async () => {
      const calls = await during(() => provider.createKey({ tenantId: 'acme', keyId: 'k1', name: NAME }));
      expect(calls.map(([operation]) => operation)).toEqual(['CreateKey', 'GetPublicKey']);
      const key = await provider.createKey({ tenantId: 'Grün & Söhne: 株式会社', keyId: 'k~1', name: NAME });
      expect(key.externalId).toMatch(new RegExp(`^arn:aws:kms:${REGION}:123456789012:key/[0-9a-f-]{36}$`));
      expect(key.externalVersion).toBeNull();
      expect(await tagsOf(key.externalId)).toEqual({
        // "&" and "~" are no characters of a tag.
        TenantId: `sha256:${hash('sha256', 'Grün & Söhne: 株式会社', 'hex')}`,
        LocalKeyId: `sha256:${hash('sha256', 'k~1', 'hex')}`,
        ManagedBy: 'keywright',
        Name: NAME,
      });
      const plain = await provider.createKey({ tenantId: 'Grün: 株式会社', keyId: 'k.1' });
      expect(await tagsOf(plain.externalId)).toMatchObject({ TenantId: 'Grün: 株式会社', LocalKeyId: 'k.1' });
    });

    it('is never the same tag for two tenants', async () => {
      const hashed = `sha256:${hash('sha256', 'a&b', 'hex')}`;
      const tags: unknown[] = [];
      for (const tenantId of ['a&b', hashed, ' a', 'a', 'aws:a']) {
        const { externalId } = await provider.createKey({ tenantId, keyId: 'k1' });
        tags.push((await tagsOf(externalId)).TenantId);
      }
      expect(new Set(tags).size).toBe(tags.length);
      expect(tags).toContain(hashed);
      expect(tags).not.toContain('aws:a');
    });

    it('is an alias too where a prefix is given, which goes with the key', async () => {
      const named = providerAt(aws.url, { aliasPrefix: 'keywright/' });
      try {
        const key = await named.createKey({ tenantId: 'acme', keyId: 'k1', name: NAME });
        const aliases = async () => (await sdk.listAliases({ KeyId: key.externalId })).Aliases;
        expect(await aliases()).toMatchObject([{ AliasName: `alias/keywright/${NAME}` }]);
        await sdk.createAlias({ AliasName: 'alias/of-somebody', TargetKeyId: key.externalId });
        await named.deleteKey(key);
        expect(await aliases()).toMatchObject([{ AliasName: 'alias/of-somebody' }]);
        await named.deleteKey(key);
      } finally {
        await named.close();
      }
    });
  });

  describe('a key that is changed behind our back', () => {
    it('is not usable while it is disabled or pending deletion, and signs again when it was enabled', async () => {
      const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
      const refused = { code: 'ERR_KMS_KEY_NOT_USABLE', retryable: false };
      await sdk.disableKey({ KeyId: key.externalId });
      expect(await refusalOf(provider.sign(key, DATA))).toMatchObject(refused);
      const restarted = providerAt(aws.url);
      expect(await refusalOf(restarted.getPublicKey(key))).toMatchObject(refused);
      await restarted.close();
      await sdk.enableKey({ KeyId: key.externalId });
      await expect(provider.sign(key, DATA)).resolves.toHaveLength(64);
      await sdk.scheduleKeyDeletion({ KeyId: key.externalId, PendingWindowInDays: 30 });
      expect(await refusalOf(provider.sign(key, DATA))).toMatchObject(refused);
      await provider.deleteKey(key);
    });

    it('is not found when it is gone, and is deleted without a complaint', async () => {
      const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
      const gone = { ...key, externalId: key.externalId.replace(/.{12}$/, '000000000000') };
      expect(await refusalOf(provider.sign(gone, DATA))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
      expect(await refusalOf(provider.getPublicKey(gone))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
      await provider.deleteKey(gone);
      await expect(provider.sign(key, DATA)).resolves.toHaveLength(64);
    });
  });

  it('schedules a deletion for the shortest time that AWS allows, in one request', async () => {
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
    const calls = await during(() => provider.deleteKey(key));
    expect(calls).toEqual([['ScheduleKeyDeletion', { KeyId: key.externalId, PendingWindowInDays: 7 }]]);
    const again = await during(() => provider.deleteKey(key));
    expect(again.map(([operation]) => operation)).toEqual(['ScheduleKeyDeletion', 'DescribeKey']);
  });

  describe('the list of keys', () => {
    it('has the signing keys of this deployment that are not being deleted, at a known price', async () => {
      const tags = { Deployment: 'blue' };
      const blue = providerAt(aws.url, { tags });
      try {
        const kept = await blue.createKey({ tenantId: 'a&b', keyId: 'kept', name: NAME });
        const deleted = await blue.createKey({ tenantId: 'acme', keyId: 'deleted' });
        await blue.deleteKey(deleted);
        await blue.createWrappingKey();
        await provider.createKey({ tenantId: 'acme', keyId: 'of another deployment'.replaceAll(' ', '-') });
        await sdk.createKey({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' });
        const { Keys: all = [] } = await sdk.listKeys({ Limit: 1000 });
        let listed: unknown;
        const calls = await during(async () => {
          listed = await blue.listKeys({ limit: 1000 });
        });
        const expected = { externalId: kept.externalId, name: NAME, keyId: 'kept' };
        expect(listed).toEqual({ keys: [expected], cursor: undefined });
        const count = (name: string): number => calls.filter(([operation]) => operation === name).length;
        expect([count('ListKeys'), count('ListResourceTags'), count('DescribeKey')]).toEqual([1, all.length, 2]);
        const { keys } = await provider.listKeys({ limit: 1000 });
        expect(keys).toContainEqual(expected);
      } finally {
        await blue.close();
      }
    });

    it('is refused, and not empty, where no tags may be read', async () => {
      await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
      aws.intercept(({ operation }) =>
        operation === 'ListResourceTags' ? { status: 400, body: '{"__type":"AccessDeniedException"}' } : undefined,
      );
      try {
        expect(await refusalOf(provider.listKeys())).toMatchObject({ code: 'ERR_KMS_DENIED' });
      } finally {
        aws.intercept(undefined);
      }
    });
  });

  it('asks for one key to see whether AWS KMS answers', async () => {
    expect(await during(() => provider.health())).toEqual([['ListKeys', { Limit: 1 }]]);
  });

  it('wraps under a symmetric key, with the context as associated data and the key named', async () => {
    const context = { purpose: 'root', tenant: 'acme' };
    const wrappingKey = await provider.createWrappingKey();
    const key = Buffer.alloc(32, 5);
    const calls = await during(async () => {
      const wrapped = await provider.wrapKey(wrappingKey, key, context);
      expect(Buffer.from(await provider.unwrapKey(wrappingKey, wrapped, context)).equals(key)).toBe(true);
    });
    expect(calls).toMatchObject([
      ['Encrypt', { KeyId: wrappingKey.externalId, EncryptionContext: context }],
      ['Decrypt', { KeyId: wrappingKey.externalId, EncryptionContext: context }],
    ]);
    expect(await refusalOf(provider.wrapKey(wrappingKey, Buffer.alloc(4097), context))).toMatchObject({
      code: 'ERR_KMS_INVALID_ARGUMENT',
      context: { argument: 'key' },
    });
    const none = await during(async () => {
      const unwrapped = provider.unwrapKey(wrappingKey, Buffer.alloc(6145), context);
      expect(await refusalOf(unwrapped)).toMatchObject({ code: 'ERR_ENVELOPE_DECRYPT' });
    });
    expect(none).toEqual([]);
    const long = { purpose: 'x'.repeat(8186) };
    expect(await refusalOf(provider.wrapKey(wrappingKey, key, long))).toMatchObject({
      code: 'ERR_KMS_INVALID_ARGUMENT',
      context: { argument: 'context' },
    });
  });

  it('leaves no private key in a process that signs: not in its memory, rows, logs and errors', async () => {
    const place = custodyPlace();
    onTestFinished(place.remove);
    const subject = await place.start({
      module: new URL('../dist/index.js', import.meta.url).href,
      factory: 'awsKmsProvider',
      options: { id: 'aws', region: REGION, endpoint: aws.url, ...ROOT, attemptTimeoutMs: 25_000, timeoutMs: 30_000 },
      algs: ['ES256', 'ES512', 'EdDSA'],
    });
    expect(subject.strings).toBeGreaterThan(10_000);
    expect(subject.find([])).toEqual([]);
  });

  it('leaves a client of the host open', async () => {
    const borrowed = providerAt('', {
      client: sdk,
      endpoint: undefined,
      accessKeyId: undefined,
      secretAccessKey: undefined,
    });
    const key = await borrowed.createKey({ tenantId: 'acme', keyId: 'k1' });
    await borrowed.close();
    await expect(sdk.describeKey({ KeyId: key.externalId })).resolves.toBeDefined();
  });
});
