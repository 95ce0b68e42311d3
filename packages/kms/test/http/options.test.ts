import { type HttpProviderOptions, httpProvider, httpProviderType, SIGN_ALGS } from '@keywright/kms';
import { startRemoteKms } from '@keywright/testkit/kms';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { refOf } from './support.ts';

const GOOD = { id: 'remote', baseUrl: 'https://kms.example.com/v1' };
const OAUTH = { tokenUrl: 'https://login.example.com/token', clientId: 'c', clientSecret: 's' };
const SECRET = 'canary-4f8e21';

describe('httpProvider', () => {
  it.each<[argument: string, over: object]>([
    ['id', { id: 'a b' }],
    ['baseUrl', { baseUrl: undefined }],
    ['baseUrl', { baseUrl: 'kms.example.com' }],
    ['baseUrl', { baseUrl: 'ftp://kms.example.com' }],
    ['baseUrl', { baseUrl: 'http://kms.example.com' }],
    ['baseUrl', { baseUrl: 'http://127.0.0.1.example.com' }],
    ['baseUrl', { baseUrl: `https://user:${SECRET}@kms.example.com` }],
    ['baseUrl', { baseUrl: `https://kms.example.com/?key=${SECRET}` }],
    ['baseUrl', { baseUrl: `https://kms.example.com/#${SECRET}` }],
    ['baseUrl', { baseUrl: new URL('https://kms.example.com') }],
    ['apiKey', { apiKey: '' }],
    ['apiKey', { apiKey: `${SECRET}\r\nx-evil: 1` }],
    ['apiKey', { apiKey: `${SECRET} ` }],
    ['apiKey', { apiKey: `${SECRET}ü` }],
    ['apiKey', { apiKey: [SECRET] }],
    ['oauth', { apiKey: SECRET, oauth: OAUTH }],
    ['oauth', { oauth: SECRET }],
    ['oauth.tokenUrl', { oauth: { ...OAUTH, tokenUrl: 'http://login.example.com/token' } }],
    ['oauth.tokenUrl', { oauth: { ...OAUTH, tokenUrl: `https://a:${SECRET}@login.example.com/token` } }],
    ['oauth.clientId', { oauth: { ...OAUTH, clientId: undefined } }],
    ['oauth.clientSecret', { oauth: { ...OAUTH, clientSecret: '' } }],
    ['oauth.clientSecret', { oauth: { ...OAUTH, clientSecret: { toString: () => SECRET } } }],
    ['oauth.scope', { oauth: { ...OAUTH, scope: ['a'] } }],
    ['oauth.audience', { oauth: { ...OAUTH, audience: '' } }],
    ['oauth.clientAuth', { oauth: { ...OAUTH, clientAuth: 'none' } }],
    ['tls', { tls: SECRET }],
    ['tls.key', { tls: { key: Buffer.from(SECRET) } }],
    ['tls.ca', { tls: { ca: '' } }],
    ['keysPath', { keysPath: 'keys' }],
    ['keysPath', { keysPath: '/keys/' }],
    ['keysPath', { keysPath: '/v1/../keys' }],
    ['keysPath', { keysPath: '/v1/./keys' }],
    ['keysPath', { keysPath: '//evil.example.com/keys' }],
    ['keysPath', { keysPath: '/keys?x' }],
    ['keysPath', { keysPath: '/ke%79s' }],
    ['keysPath', { keysPath: '/keys\r\nhost: evil' }],
    ['healthPath', { healthPath: '/..' }],
    ['canImport', { canImport: 'false' }],
    ['canList', { canList: 1 }],
    ['verifySignatures', { verifySignatures: null }],
    ['allowHttp', { allowHttp: 'yes' }],
    ['algs', { algs: [] }],
    ['algs', { algs: 'ES256' }],
    ['algs', { algs: ['ES256', 'ES256'] }],
    ['algs[1]', { algs: ['ES256', 'HS256'] }],
    ['timeoutMs', { timeoutMs: 0 }],
    ['retries', { retries: 11 }],
  ])('refuses a wrong %s: %j', (argument, over) => {
    try {
      httpProvider({ ...GOOD, ...over } as HttpProviderOptions);
    } catch (error) {
      expect(error).toMatchObject({ name: 'KmsError', code: 'ERR_KMS_INVALID_ARGUMENT', context: { argument } });
      expect(JSON.stringify(error)).not.toContain(SECRET);
      return;
    }
    throw new Error('it was accepted');
  });

  it.each([null, 'x', 7])('refuses options that are none: %j', (options) => {
    expect(() => httpProvider(options as never)).toThrow(expect.objectContaining({ code: 'ERR_KMS_INVALID_ARGUMENT' }));
  });

  it.each(['http://localhost:1', 'http://127.5.5.5', 'http://[::1]:1', 'https://kms.example.com'])(
    'accepts the address %s',
    async (baseUrl) => {
      await httpProvider({ id: 'remote', baseUrl }).close();
    },
  );

  it('accepts http:// to another machine where that is said', async () => {
    await httpProvider({ id: 'remote', baseUrl: 'http://kms.internal', allowHttp: true }).close();
  });

  it('keeps to what it was given, whatever becomes of the object', async () => {
    const service = await startRemoteKms();
    onTestFinished(service.stop);
    const algs: ('ES256' | 'EdDSA')[] = ['EdDSA'];
    const options = { id: 'remote', baseUrl: service.url, apiKey: 'first', algs };
    const provider = httpProvider(options);
    onTestFinished(() => provider.close());
    Object.assign(options, { baseUrl: 'http://127.0.0.1:1', apiKey: 'second' });
    algs[0] = 'ES256';
    expect(await provider.createKey({ tenantId: 'acme', keyId: 'k1' })).toMatchObject({ alg: 'EdDSA' });
    expect(service.requests[0]?.headers.authorization).toBe('Bearer first');
    expect(provider.capabilities.algs).toEqual({ EdDSA: { create: true, import: false } });
    expect(Object.isFrozen(provider.capabilities) && Object.isFrozen(provider.capabilities.algs)).toBe(true);
  });

  it('takes a base address with and without a slash at its end', async () => {
    const service = await startRemoteKms();
    onTestFinished(service.stop);
    for (const baseUrl of [service.url, `${service.url}/`, `${service.url}/v1`, `${service.url}/v1/`]) {
      const provider = httpProvider({ id: 'remote', baseUrl, retries: 0 });
      await provider.sign(refOf(provider), Buffer.of(1)).catch(() => {});
      await provider.close();
    }
    const path = `/keys/${refOf(httpProvider(GOOD)).externalId}/sign`;
    expect(service.requests.map(({ url }) => url)).toEqual([path, path, `/v1${path}`, `/v1${path}`]);
  });
});

describe('httpProviderType', () => {
  const ajv = new Ajv2020({ strict: true, ownProperties: true });
  const check = ajv.compile({
    ...httpProviderType.schema,
    properties: { id: true, type: true, ...httpProviderType.schema.properties },
    additionalProperties: false,
  });
  const entry = { id: 'remote', type: 'http', baseUrl: 'https://kms.example.com' };
  const whole = {
    ...entry,
    oauth: { ...OAUTH, scope: 'kms', audience: 'kms', clientAuth: 'client_secret_post' },
    tls: { ca: 'PEM', cert: 'PEM', key: 'PEM', passphrase: 'x' },
    keysPath: '/v1/keys',
    healthPath: '/v1/health',
    canImport: true,
    canList: true,
    algs: [...SIGN_ALGS],
    verifySignatures: true,
    allowHttp: true,
    timeoutMs: 1,
    attemptTimeoutMs: 1,
    retries: 0,
    publicKeyTtlMs: 1,
  };

  it('knows every member, and marks the secret ones', () => {
    expect([check(entry), check({ ...entry, apiKey: 'k' }), check(whole)]).toEqual([true, true, true]);
    const { apiKey, oauth, tls } = httpProviderType.schema.properties as Record<string, { properties: object }>;
    expect(apiKey).toMatchObject({ writeOnly: true });
    expect(oauth?.properties).toMatchObject({ clientSecret: { writeOnly: true } });
    expect(tls?.properties).toMatchObject({ key: { writeOnly: true }, passphrase: { writeOnly: true } });
  });

  it.each([
    { baseUrl: undefined },
    { baseURL: 'https://kms.example.com' },
    { oauth: { tokenUrl: 'https://x', clientId: 'c' } },
    { oauth: { ...OAUTH, username: 'x' } },
    { tls: { cert: 'PEM' } },
    { tls: { insecure: true } },
    { algs: ['HS256'] },
    { canImport: 'true' },
  ])('refuses %j', (over) => {
    expect(check(JSON.parse(JSON.stringify({ ...entry, ...over })))).toBe(false);
  });

  it('makes a provider of an entry', async () => {
    const service = await startRemoteKms({ auth: { kind: 'bearer', apiKey: 'k' } });
    onTestFinished(service.stop);
    const provider = httpProviderType.create({ ...entry, baseUrl: service.url, apiKey: 'k' }, {});
    onTestFinished(() => provider.close());
    expect(provider).toMatchObject({ id: 'remote', type: 'http' });
    expect(await provider.health()).toMatchObject({ ok: true, providerId: 'remote' });
    expect(() => httpProviderType.create({ ...entry, apiKey: 'k', oauth: OAUTH }, {})).toThrow(
      expect.objectContaining({
        code: 'ERR_KMS_INVALID_ARGUMENT',
        context: expect.objectContaining({ argument: 'oauth' }),
      }),
    );
  });
});
