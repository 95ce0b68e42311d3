import type { IncomingMessage, ServerResponse } from 'node:http';
import { SecretClient } from '@azure/keyvault-secrets';
import { generateKeyBase64 } from '@keywright/envelope';
import { type AzureKeyVaultOptions, azureKeyVaultSource, type KeySource } from '@keywright/envelope/sources';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { keySourceConformance, type PreparedKeySource } from '../../src/conformance/key-source.ts';
import { selfSigned } from './certificate.ts';
import { closedPort, flood, rejection, sendJson, serve, shown, type TestServer, withEnv } from './support.ts';

const TOKEN = 'canary-azure-token';
const tls = selfSigned();
// The vault of these tests is 127.0.0.1 and no name below vault.azure.net.
const clientOptions = { tlsOptions: { ca: tls.cert }, disableChallengeResourceVerification: true };
const credential = { getToken: async () => ({ token: TOKEN, expiresOnTimestamp: Date.now() + 3_600_000 }) };

type Respond = (response: ServerResponse, request: IncomingMessage) => void;

/**
 * A vault in the documented wire format: the challenge first, then the secret for the token.
 * https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses
 * https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret
 */
async function vault(respond: Respond, seen: IncomingMessage[] = []): Promise<TestServer> {
  return serve((request, response) => {
    seen.push(request);
    if (request.headers.authorization !== `Bearer ${TOKEN}`) {
      const challenge =
        'Bearer authorization="https://login.microsoftonline.com/72f988bf", resource="https://vault.azure.net"';
      return sendJson(response, 401, azureError('Unauthorized'), { 'www-authenticate': challenge });
    }
    return respond(response, request);
  }, tls);
}

function secretBundle(value: string): object {
  const attributes = { enabled: true, created: 1_762_000_000, updated: 1_762_000_000, recoveryLevel: 'Recoverable' };
  return { value, id: 'https://acme.vault.azure.net/secrets/key/4387e9f3d6e14c459867679a90fd0f79', attributes };
}

// https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
function azureError(code: string): object {
  return { error: { code, message: 'canary-in-message' } };
}

keySourceConformance('azure-key-vault', {
  impossible: {},
  async prepare(condition, { text }, timeoutMs): Promise<PreparedKeySource> {
    const server = await vault((response) => {
      if (condition === 'silent') return;
      if (condition === 'oversized') flood(response);
      else if (condition === 'denied') sendJson(response, 403, azureError('Forbidden'));
      else if (condition === 'not-found') sendJson(response, 404, azureError('SecretNotFound'));
      else sendJson(response, 200, secretBundle(text));
    });
    const url = condition === 'unreachable' ? `https://127.0.0.1:${await closedPort()}` : server.url;
    const source = azureKeyVaultSource(url, 'key', { credential, clientOptions, timeoutMs });
    return { source, secrets: [TOKEN], dispose: server.close };
  },
});

describe('Azure Key Vault', () => {
  const key = generateKeyBase64();
  const seen: IncomingMessage[] = [];
  let respond: Respond;
  let server: TestServer;
  const source = (options: AzureKeyVaultOptions = {}): KeySource =>
    azureKeyVaultSource(server.url, 'key', { credential, clientOptions, ...options });

  beforeAll(async () => {
    server = await vault((response, request) => respond(response, request), seen);
  });
  afterAll(() => server.close());
  beforeEach(() => {
    seen.length = 0;
    respond = (response) => sendJson(response, 200, secretBundle(key));
  });

  it('is asked for the version that is named', async () => {
    await source({ version: '4387e9f3' }).load();
    expect(seen.at(-1)).toMatchObject({
      method: 'GET',
      url: expect.stringMatching(/^\/secrets\/key\/4387e9f3\?api/),
    });
  });

  it('may be asked by a client that was handed in', async () => {
    const client = new SecretClient(server.url, credential, clientOptions);
    expect((await azureKeyVaultSource(server.url, 'key', { client }).load()).activeKid).toBe('v1');
  });

  it.each([
    [403, 'Forbidden', 'ERR_KEY_SOURCE_DENIED', false, 1],
    [404, 'SecretNotFound', 'ERR_KEY_SOURCE_NOT_FOUND', false, 1],
    [429, 'Throttled', 'ERR_KEY_SOURCE_UNREACHABLE', true, 2],
    [500, 'InternalServerError', 'ERR_KEY_SOURCE_UNREACHABLE', true, 2],
  ])('answers %i %s: %s, and is asked no more than twice', async (status, azureCode, code, retryable, times) => {
    respond = (response) => sendJson(response, status, azureError(azureCode), { 'retry-after-ms': '10' });
    const error = await rejection(source().load());
    expect(error).toMatchObject({ code, retryable });
    expect(shown(error)).not.toContain('canary');
    expect(seen.filter(({ headers }) => headers.authorization !== undefined)).toHaveLength(times);
  });

  it.each(['', 'https://127.0.0.1:1'])('is not followed elsewhere, nor on the same host: %j', async (host) => {
    for (const status of [301, 302, 303, 307, 308]) {
      seen.length = 0;
      respond = (response) => response.writeHead(status, { location: `${host}/secrets/other` }).end();
      const error = await rejection(source().load());
      expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_REDIRECTED', retryable: false });
      expect(seen.map(({ url }) => url).filter((url) => url?.includes('other'))).toEqual([]);
    }
  });

  it('keeps the policies of the host', async () => {
    const sendRequest = vi.fn((request, next) => next(request));
    const additionalPolicies = [{ policy: { name: 'host', sendRequest }, position: 'perCall' as const }];
    await source({ clientOptions: { ...clientOptions, additionalPolicies } }).load();
    expect(sendRequest).toHaveBeenCalledTimes(1);
  });

  it('answers what is no secret: refused', async () => {
    for (const body of ['<html>', '{}', '[]', '{"value":7}']) {
      respond = (response) => response.writeHead(200, { 'content-type': 'application/json' }).end(body);
      expect((await rejection(source().load())).code, body).toBe('ERR_KEY_SOURCE_INVALID_RESPONSE');
    }
  });

  it('is read no further than the limit', async () => {
    let written = 0;
    respond = (response) => {
      flood(response, (bytes) => {
        written = bytes;
      });
    };
    expect((await rejection(source().load())).code).toBe('ERR_KEY_SOURCE_TOO_LARGE');
    expect(written).toBeLessThan(16 * 2 ** 20); // what the sockets hold
  });

  it('is reached over https only', async () => {
    for (const url of ['http://acme.vault.azure.net', 'acme', 'https://u:p@acme.vault.azure.net', undefined]) {
      const error = await rejection((async () => azureKeyVaultSource(url as string, 'key'))());
      expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_CONFIG', context: { argument: 'vaultUrl' } });
    }
  });

  describe('by the default identity', () => {
    const NONE = {
      AZURE_CLIENT_ID: undefined,
      AZURE_TENANT_ID: undefined,
      AZURE_CLIENT_SECRET: undefined,
      AZURE_FEDERATED_TOKEN_FILE: undefined,
      AZURE_TOKEN_CREDENTIALS: 'prod',
    };

    it('takes the managed identity of App Service', async () => {
      const header = 'canary-identity-header';
      // https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
      const identity = await serve((request, response) => {
        const { searchParams } = new URL(request.url ?? '', 'http://identity');
        const known =
          request.headers['x-identity-header'] === header && searchParams.get('resource') === 'https://vault.azure.net';
        const expires_on = String(Math.floor(Date.now() / 1000) + 3600);
        const found = { access_token: TOKEN, expires_on, resource: 'https://vault.azure.net', token_type: 'Bearer' };
        sendJson(response, known ? 200 : 400, known ? found : {});
      });
      const env = { ...NONE, IDENTITY_ENDPOINT: `${identity.url}/msi/token`, IDENTITY_HEADER: header };
      const material = await withEnv(env, () => source({ credential: undefined }).load());
      await identity.close();
      expect(Buffer.from(material.keys.v1 as Uint8Array).toString('base64')).toBe(key);
    });

    it('fails by an error of its own where there is none', async () => {
      const env = { ...NONE, AZURE_TOKEN_CREDENTIALS: 'EnvironmentCredential' };
      const error = await rejection(withEnv(env, () => source({ credential: undefined }).load()));
      expect(error.code).toBe('ERR_KEY_SOURCE_NO_CREDENTIALS');
      expect(shown(error)).not.toContain('AZURE_');
    });
  });
});
