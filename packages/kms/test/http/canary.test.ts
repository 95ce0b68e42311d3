import { Console } from 'node:console';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { inspect } from 'node:util';
import { httpProvider, type KmsProvider } from '@keywright/kms';
import { makeCertificates, type RemoteKmsAnswer, startRemoteKms } from '@keywright/testkit/kms';
import { describe, expect, it, onTestFinished } from 'vitest';
import { answer, startBadServer } from './bad-server.ts';
import { refOf, samplePrivateJwk } from './support.ts';

const API_KEY = 'canary-api-key-9b41';
const SECRET = 'canary-client-secret-77e0';
const TOKEN = 'canary-access-token-c1d5';

/** As a log, an error page or a debugger shows it, with everything that can be reached from it. */
async function shown(thing: unknown): Promise<string> {
  const stream = new PassThrough();
  new Console(stream).dir(thing, { depth: 12, showHidden: true });
  stream.end();
  const parts = [
    await text(stream),
    String(thing),
    JSON.stringify(thing) ?? '',
    inspect(thing, { depth: 12, getters: true }),
  ];
  for (let error = thing; error instanceof Error; error = error.cause) parts.push(error.message, error.stack ?? '');
  return parts.join('\n');
}

/** Everything that the provider gives out or throws. */
async function everything(provider: KmsProvider): Promise<string> {
  const ref = refOf(provider);
  const privateJwk = samplePrivateJwk();
  const calls = [
    provider.createKey({ tenantId: 'acme', keyId: 'k1' }),
    provider.importKey({ tenantId: 'acme', keyId: 'k1', alg: 'ES256', privateJwk }),
    provider.getPublicKey(ref),
    provider.sign(ref, Buffer.of(1)),
    provider.deleteKey(ref),
    provider.listKeys(),
    provider.health(),
  ];
  const results = await Promise.all(calls.map((call) => call.catch((error: unknown) => error)));
  const texts = await Promise.all([provider, ...results].map(shown));
  expect(texts.join('\n')).not.toContain(privateJwk.d);
  return texts.join('\n');
}

/** A secret as itself, and as it is written into headers and forms. */
function forms(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  return [secret, bytes.toString('base64'), bytes.toString('base64url'), bytes.toString('hex')];
}

async function expectHidden(provider: KmsProvider, ...secrets: readonly string[]): Promise<void> {
  onTestFinished(() => provider.close());
  const all = await everything(provider);
  for (const form of secrets.flatMap(forms)) expect(all.includes(form), form).toBe(false);
}

const STATUSES: readonly number[] = [200, 204, 302, 400, 401, 403, 404, 409, 429, 500];
const client = { id: 'remote', retries: 0, canImport: true, canList: true, verifySignatures: true };

describe('a credential is shown by nothing', () => {
  // The worst service: it gives back what it was sent.
  const echo =
    (status: number) =>
    ({ headers, body }: { headers: object; body: string }): RemoteKmsAnswer => ({
      status,
      headers: { 'content-type': 'application/json', 'x-echo': JSON.stringify(headers) },
      ...(status === 204 ? {} : { body: JSON.stringify({ headers, body, error: JSON.stringify(headers) }) }),
    });

  it.each(STATUSES)('where the service answers %i with what it was sent: an API key', async (status) => {
    const service = await startRemoteKms({ intercept: echo(status) });
    onTestFinished(service.stop);
    await expectHidden(httpProvider({ ...client, baseUrl: service.url, apiKey: API_KEY }), API_KEY);
    expect(service.requests[0]?.headers.authorization).toBe(`Bearer ${API_KEY}`);
  });

  it.each(STATUSES)('where the service answers %i: a token and the secret it was given for', async (status) => {
    const token = JSON.stringify({ access_token: TOKEN, token_type: 'bearer', expires_in: 600 });
    const endpoint = await startBadServer((socket) => void socket.write(answer(token)));
    const service = await startRemoteKms({ intercept: echo(status) });
    onTestFinished(service.stop);
    const oauth = { tokenUrl: `${endpoint.url}/t`, clientId: 'client', clientSecret: SECRET };
    await expectHidden(httpProvider({ ...client, baseUrl: service.url, oauth }), TOKEN, SECRET, `client:${SECRET}`);
    expect(service.requests[0]?.headers.authorization).toBe(`Bearer ${TOKEN}`);
  });

  it.each([
    ['an error', '400 No', { error: 'invalid_client', error_description: SECRET, access_token: TOKEN }],
    ['an error without form', '400 No', { error: [SECRET, TOKEN] }],
    ['a token of another type', '200 OK', { access_token: TOKEN, token_type: SECRET }],
    ['a token that is none', '200 OK', { access_token: { TOKEN, SECRET }, token_type: 'bearer' }],
    ['a lifetime that is none', '200 OK', { access_token: TOKEN, token_type: 'bearer', expires_in: SECRET }],
    ['an identity', '200 OK', { access_token: TOKEN, token_type: 'bearer', id_token: SECRET }],
    ['what is no token', '500 No', { SECRET, TOKEN }],
  ])('where the token endpoint answers with %s', async (_what, status, body) => {
    const endpoint = await startBadServer((socket) => void socket.write(answer(JSON.stringify(body), {}, status)));
    const oauth = { tokenUrl: `${endpoint.url}/t`, clientId: 'client', clientSecret: SECRET };
    for (const clientAuth of ['client_secret_basic', 'client_secret_post'] as const) {
      const provider = httpProvider({ ...client, baseUrl: 'http://127.0.0.1:1', oauth: { ...oauth, clientAuth } });
      await expectHidden(provider, TOKEN, SECRET, `client:${SECRET}`);
    }
  });

  it('the private key of the client, where the service lets it in and where it does not', async () => {
    const { ca, server, client: own, strangeClient } = makeCertificates();
    const service = await startRemoteKms({ auth: { kind: 'mtls', ca }, tls: server });
    onTestFinished(service.stop);
    for (const { cert, key } of [own, strangeClient]) {
      const provider = httpProvider({ ...client, baseUrl: service.url, tls: { ca, cert, key } });
      const lines = key.split('\n').filter((line) => line.length > 20 && !line.startsWith('-'));
      expect(lines.length).toBeGreaterThan(1);
      await expectHidden(provider, ...lines);
    }
  });
});
