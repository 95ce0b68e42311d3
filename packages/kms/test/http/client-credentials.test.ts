import { setTimeout as sleep } from 'node:timers/promises';
import { type ClientCredentials, type HttpProviderOptions, httpProvider, type KmsProvider } from '@keywright/kms';
import { type RemoteKms, type RemoteKmsOptions, startRemoteKms } from '@keywright/testkit/kms';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { answer, startBadServer } from './bad-server.ts';
import { refOf } from './support.ts';
import { startTokenServer, type TokenServer, type TokenServerOptions } from './token-server.ts';

const DATA = Buffer.from('data');

async function startTokens(options?: TokenServerOptions): Promise<TokenServer> {
  const tokens = await startTokenServer(options);
  onTestFinished(tokens.stop);
  return tokens;
}

async function startService(options: RemoteKmsOptions): Promise<RemoteKms> {
  const service = await startRemoteKms(options);
  onTestFinished(service.stop);
  return service;
}

function open(baseUrl: string, oauth: ClientCredentials, over: Partial<HttpProviderOptions> = {}): KmsProvider {
  const provider = httpProvider({ id: 'remote', baseUrl, oauth, retries: 0, ...over });
  onTestFinished(() => provider.close());
  return provider;
}

const credentialsOf = ({ tokenUrl, clientId, clientSecret }: TokenServer): ClientCredentials => ({
  tokenUrl,
  clientId,
  clientSecret,
});

async function openAll(tokenOptions?: TokenServerOptions) {
  const tokens = await startTokens(tokenOptions);
  const service = await startService({ auth: tokens.auth });
  const provider = open(service.url, credentialsOf(tokens));
  const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
  return { tokens, service, provider, key };
}

describe('a token', () => {
  it('is asked for once, however many calls wait for the first', async () => {
    const tokens = await startTokens();
    const service = await startService({ auth: tokens.auth });
    const provider = open(service.url, credentialsOf(tokens));
    const made = Array.from({ length: 20 }, (_, n) => provider.createKey({ tenantId: 'acme', keyId: `k${n}` }));
    await Promise.all(made);
    expect(tokens.requests).toHaveLength(1);
    expect(new Set(service.requests.map(({ headers }) => headers.authorization))).toEqual(
      new Set([`Bearer ${tokens.tokens[0]}`]),
    );
  });

  it.each(['client_secret_basic', 'client_secret_post'] as const)('is given for the secret sent by %s', async (way) => {
    const tokens = await startTokens({ clientAuth: way });
    const service = await startService({ auth: tokens.auth });
    const credentials = { ...credentialsOf(tokens), clientAuth: way, scope: 'kms' };
    expect(await open(service.url, credentials).health()).toMatchObject({ ok: true });
    expect(tokens.requests.map((header) => header?.split(' ')[0])).toEqual([
      way === 'client_secret_basic' ? 'Basic' : undefined,
    ]);
  });

  it.each([
    [3_600, 3_570],
    [100, 90],
    [undefined, 54], // not told: a minute
  ])('of %s s is renewed after %i s, and not earlier', async (lifetime, renewedAfter) => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    let given = 0;
    const endpoint = await startBadServer((socket) => {
      socket.write(answer(JSON.stringify({ access_token: `t${++given}`, token_type: 'Bearer', expires_in: lifetime })));
    });
    const service = await startService({});
    const provider = open(service.url, { tokenUrl: `${endpoint.url}/token`, clientId: 'c', clientSecret: 's' });
    await provider.health();
    vi.advanceTimersByTime(renewedAfter * 1_000 - 1);
    await provider.health();
    expect(given).toBe(1);
    vi.advanceTimersByTime(1);
    await provider.health();
    expect(given).toBe(2);
    expect(service.requests.at(-1)?.headers.authorization).toBe('Bearer t2');
  });

  it('that was revoked is renewed once, by one request for all calls that were refused', async () => {
    const { tokens, provider, key } = await openAll();
    await tokens.revokeAll();
    const signatures = await Promise.all(Array.from({ length: 20 }, () => provider.sign(key, DATA)));
    expect(signatures).toHaveLength(20);
    expect(tokens.requests).toHaveLength(2);
  });

  it('that is refused although it is new ends in ERR_KMS_CREDENTIALS, after one renewal', async () => {
    const tokens = await startTokens();
    const service = await startService({ intercept: () => ({ status: 401 }) });
    const provider = open(service.url, credentialsOf(tokens), { retries: 3 });
    const signed = provider.sign(refOf(provider), DATA);
    await expect(signed).rejects.toMatchObject({
      code: 'ERR_KMS_CREDENTIALS',
      retryable: false,
      context: { status: 401 },
    });
    expect(service.requests).toHaveLength(2);
    expect(tokens.requests).toHaveLength(2);
  });

  it('is not waited for longer than the caller wants, and is there for the next one', async () => {
    const tokens = await startTokens();
    const service = await startService({ auth: tokens.auth });
    const provider = open(service.url, credentialsOf(tokens));
    const left = provider.health({ signal: AbortSignal.timeout(0) });
    expect(await left).toMatchObject({ ok: false, code: 'ERR_KMS_ABORTED' });
    expect(await provider.health()).toMatchObject({ ok: true });
    expect(tokens.requests.length).toBeLessThanOrEqual(1);
  });
});

describe('a client', () => {
  it('whose secret is wrong is refused, and asked again by the next call only', async () => {
    const tokens = await startTokens();
    const provider = open('http://127.0.0.1:1', { ...credentialsOf(tokens), clientSecret: 'wrong' }, { retries: 3 });
    await expect(provider.sign(refOf(provider), DATA)).rejects.toMatchObject({ code: 'ERR_KMS_CREDENTIALS' });
    expect(tokens.requests).toHaveLength(1);
    await expect(provider.sign(refOf(provider), DATA)).rejects.toMatchObject({ code: 'ERR_KMS_CREDENTIALS' });
    expect(tokens.requests).toHaveLength(2);
  });

  it('that may not have the scope is denied', async () => {
    const tokens = await startTokens();
    const provider = open('http://127.0.0.1:1', { ...credentialsOf(tokens), scope: 'admin' });
    await expect(provider.sign(refOf(provider), DATA)).rejects.toMatchObject({ code: 'ERR_KMS_DENIED' });
  });
});

describe('a token endpoint that', () => {
  const token = (over: object): string =>
    JSON.stringify({ access_token: 'abc', token_type: 'bearer', expires_in: 60, ...over });
  it.each([
    ['is away for a while', answer('{}', {}, '503 Away'), 'ERR_KMS_UNAVAILABLE'],
    ['throttles', answer('{}', {}, '429 Slow'), 'ERR_KMS_THROTTLED'],
    ['refuses without a reason', answer('no', { 'content-type': 'text/plain' }, '401 No'), 'ERR_KMS_CREDENTIALS'],
    ['redirects', answer('{}', { location: 'http://127.0.0.1:1/' }, '307 Over there'), 'ERR_KMS_INVALID_RESPONSE'],
    ['answers with a page', answer('<p>', { 'content-type': 'text/html' }), 'ERR_KMS_INVALID_RESPONSE'],
    ['answers with a list', answer('[]'), 'ERR_KMS_INVALID_RESPONSE'],
    ['gives no token', answer(token({ access_token: undefined })), 'ERR_KMS_INVALID_RESPONSE'],
    ['gives a token of another type', answer(token({ token_type: 'dpop' })), 'ERR_KMS_INVALID_RESPONSE'],
    ['gives a token with a line break', answer(token({ access_token: 'a\r\nx-evil: 1' })), 'ERR_KMS_INVALID_RESPONSE'],
    ['gives a lifetime that is none', answer(token({ expires_in: 'soon' })), 'ERR_KMS_INVALID_RESPONSE'],
    ['gives more than can be read', answer(token({ fill: 'x'.repeat(2 ** 21) })), 'ERR_KMS_INVALID_RESPONSE'],
  ])('%s: a typed error', async (_what, text, code) => {
    const endpoint = await startBadServer((socket) => void socket.write(text));
    const provider = open('http://127.0.0.1:1', {
      tokenUrl: `${endpoint.url}/token`,
      clientId: 'c',
      clientSecret: 's',
    });
    await expect(provider.sign(refOf(provider), DATA)).rejects.toMatchObject({ code });
    expect(endpoint.requests).toHaveLength(1);
  });

  it('never answers: the call ends in time, and close() ends the request', async () => {
    const endpoint = await startBadServer(() => {});
    const oauth = { tokenUrl: `${endpoint.url}/token`, clientId: 'c', clientSecret: 's' };
    const provider = open('http://127.0.0.1:1', oauth, { timeoutMs: 200 });
    await expect(provider.sign(refOf(provider), DATA)).rejects.toMatchObject({ code: 'ERR_KMS_TIMEOUT' });
    expect(endpoint.sockets.size).toBe(1);
    await provider.close();
    await expect.poll(() => endpoint.sockets.size, { timeout: 10_000 }).toBe(0);
  });

  it('never answers on one connection is asked on another', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const endpoint = await startBadServer((socket) => {
      if (endpoint.requests.length > 1) socket.write(answer(token({})));
    });
    const service = await startService({});
    const oauth = { tokenUrl: `${endpoint.url}/token`, clientId: 'c', clientSecret: 's' };
    const provider = open(service.url, oauth);
    expect(await provider.health({ timeoutMs: 200 })).toMatchObject({ ok: false, code: 'ERR_KMS_TIMEOUT' });
    vi.advanceTimersByTime(3_000);
    expect(await Promise.all([provider.health(), provider.health()])).toMatchObject([{ ok: true }, { ok: true }]);
    expect(endpoint.requests).toHaveLength(2);
  });

  it('is asked no more after close(), also not because the connection of a request was lost by it', async () => {
    let given = 0;
    const endpoint = await startBadServer((socket) => {
      if (given++ === 0) socket.write(answer(token({})));
    });
    const service = await startService({ intercept: () => ({ status: 401 }) });
    const provider = open(service.url, { tokenUrl: `${endpoint.url}/token`, clientId: 'c', clientSecret: 's' });
    const signed = provider.sign(refOf(provider), DATA);
    await expect.poll(() => endpoint.requests.length, { timeout: 10_000 }).toBe(2);
    await provider.close();
    await expect(signed).rejects.toMatchObject({ code: 'ERR_KMS_CLOSED' });
    await expect.poll(() => endpoint.sockets.size, { timeout: 10_000 }).toBe(0);
    await sleep(50);
    expect(endpoint.requests).toHaveLength(2);
  });
});
