import type { IncomingMessage, ServerResponse } from 'node:http';
import { SecretManagerServiceClient } from '@google-cloud/secret-manager';
import { generateKeyBase64 } from '@keywright/envelope';
import { type GcpSecretManagerOptions, gcpSecretManagerSource, type KeySource } from '@keywright/envelope/sources';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keySourceConformance, type PreparedKeySource } from '../../src/conformance/key-source.ts';
import { crc32c } from '../../src/sources/crc32c.ts';
import { closedPort, flood, rejection, sendJson, serve, shown, type TestServer, withEnv } from './support.ts';

const SECRET = 'projects/acme/secrets/key';
const TOKEN = 'canary-gcp-token';

type Respond = (response: ServerResponse, request: IncomingMessage) => void;

// https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
function accessAnswer(text: string, checksum: string | undefined = String(crc32c(Buffer.from(text)))): object {
  const payload = { data: Buffer.from(text).toString('base64'), ...(checksum === '' ? {} : { dataCrc32c: checksum }) };
  return { name: 'projects/123/secrets/key/versions/5', payload };
}

// https://cloud.google.com/apis/design/errors#http_mapping
function googleError(code: number, status: string): object {
  return { error: { code, message: 'canary-in-message', status } };
}

/** Serves the API, and the metadata server that the default credentials are found by. */
async function google(respond: Respond, seen: IncomingMessage[] = []): Promise<TestServer> {
  return serve((request, response) => {
    if (request.url?.startsWith('/computeMetadata/')) return metadata(request, response);
    seen.push(request);
    if (request.headers.authorization !== `Bearer ${TOKEN}`)
      return sendJson(response, 401, googleError(401, 'UNAUTHENTICATED'));
    return respond(response, request);
  });
}

// https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys
function metadata(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('metadata-flavor', 'Google');
  const path = request.url?.slice('/computeMetadata/v1/'.length) ?? '';
  if (request.headers['metadata-flavor'] !== 'Google') response.writeHead(403).end();
  else if (path.startsWith('instance/service-accounts/default/token')) {
    sendJson(response, 200, { access_token: TOKEN, expires_in: 3599, token_type: 'Bearer' });
  } else if (path.startsWith('project/project-id')) response.end('acme');
  else if (path === 'instance') response.end('id');
  else response.writeHead(404).end();
}

/** The SDK and its Application Default Credentials, pointed at a server; nothing of this machine's own. */
function source(
  server: { port: number },
  options: GcpSecretManagerOptions = {},
  port: number = server.port,
): KeySource {
  const clientOptions = { apiEndpoint: '127.0.0.1', port, protocol: 'http', ...options.clientOptions };
  const inner = gcpSecretManagerSource(SECRET, { ...options, clientOptions });
  const env = { ...NO_CREDENTIALS, GCE_METADATA_HOST: `127.0.0.1:${server.port}` };
  return { name: inner.name, load: (load) => withEnv(env, () => inner.load(load)) };
}

const NO_CREDENTIALS = { GOOGLE_APPLICATION_CREDENTIALS: undefined, GCLOUD_PROJECT: undefined, HOME: '/nonexistent' };

keySourceConformance('gcp-secret-manager', {
  impossible: {},
  async prepare(condition, { text }, timeoutMs): Promise<PreparedKeySource> {
    const server = await google((response) => {
      if (condition === 'silent') return;
      if (condition === 'oversized') flood(response);
      else if (condition === 'denied') sendJson(response, 403, googleError(403, 'PERMISSION_DENIED'));
      else if (condition === 'not-found') sendJson(response, 404, googleError(404, 'NOT_FOUND'));
      else sendJson(response, 200, accessAnswer(text));
    });
    const port = condition === 'unreachable' ? await closedPort() : server.port;
    return { source: source(server, { timeoutMs }, port), secrets: [TOKEN], dispose: server.close };
  },
});

describe('GCP Secret Manager', () => {
  const key = generateKeyBase64();
  const seen: IncomingMessage[] = [];
  let respond: Respond;
  let server: TestServer;

  beforeAll(async () => {
    server = await google((response, request) => respond(response, request), seen);
  });
  afterAll(() => server.close());
  beforeEach(() => {
    seen.length = 0;
    respond = (response) => sendJson(response, 200, accessAnswer(key));
  });

  it('is asked for the latest version, as the identity of the metadata server', async () => {
    await source(server).load();
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({
      method: 'GET',
      url: expect.stringMatching(/^\/v1\/projects\/acme\/secrets\/key\/versions\/latest:access/),
      headers: { authorization: `Bearer ${TOKEN}` },
    });
  });

  it('must not change the payload: a wrong checksum is refused, none is taken', async () => {
    respond = (response) => sendJson(response, 200, accessAnswer(key, '12345'));
    expect(await rejection(source(server).load())).toMatchObject({
      code: 'ERR_KEY_SOURCE_INVALID_RESPONSE',
      context: { field: 'payload.dataCrc32c' },
    });
    respond = (response) => sendJson(response, 200, accessAnswer(key, ''));
    expect((await source(server).load()).activeKid).toBe('v1');
  });

  it.each([
    [400, 'FAILED_PRECONDITION', 'ERR_KEY_SOURCE_NOT_FOUND', false],
    [400, 'INVALID_ARGUMENT', 'ERR_KEY_SOURCE_CONFIG', false],
    [401, 'UNAUTHENTICATED', 'ERR_KEY_SOURCE_DENIED', false],
    [403, 'PERMISSION_DENIED', 'ERR_KEY_SOURCE_DENIED', false],
    [404, 'NOT_FOUND', 'ERR_KEY_SOURCE_NOT_FOUND', false],
    [429, 'RESOURCE_EXHAUSTED', 'ERR_KEY_SOURCE_UNREACHABLE', true],
    [500, 'INTERNAL', 'ERR_KEY_SOURCE_UNREACHABLE', true],
  ])('answers %i %s: %s', async (status, name, code, retryable) => {
    respond = (response) => sendJson(response, status, googleError(status, name));
    const error = await rejection(source(server).load());
    expect(error).toMatchObject({ code, retryable });
    expect(shown(error)).not.toContain('canary');
  });

  it.each([301, 302, 303, 307, 308])('is not followed elsewhere (%i), with the token or without', async (status) => {
    const elsewhere: unknown[] = [];
    const thief = await serve((request, response) => {
      elsewhere.push(request.headers);
      sendJson(response, 200, accessAnswer(key));
    });
    respond = (response) => response.writeHead(status, { location: `${thief.url}/v1/${SECRET}` }).end();
    const error = await rejection(source(server).load());
    await thief.close();
    expect(elsewhere).toEqual([]);
    expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_REDIRECTED', retryable: false });
    expect(seen).toHaveLength(1);
  });

  it.each([401, 403, 500])('refuses (%i) by no more words than the limit', async (status) => {
    let written = 0;
    respond = (response) => {
      flood(
        response,
        (bytes) => {
          written = bytes;
        },
        'application/json',
        status,
      );
    };
    expect((await rejection(source(server).load())).code).toBe('ERR_KEY_SOURCE_TOO_LARGE');
    expect(written).toBeLessThan(16 * 2 ** 20); // what the sockets hold
  });

  it('keeps the connection of a load that timed out no longer than the load', async () => {
    const ended = Promise.withResolvers<void>();
    respond = (response, request) => {
      request.socket.once('close', () => ended.resolve());
      response.writeHead(200, { 'content-type': 'application/json' }).write('{');
    };
    expect((await rejection(source(server, { timeoutMs: 500 }).load())).code).toBe('ERR_KEY_SOURCE_TIMEOUT');
    await ended.promise;
  });

  it.each([
    [429, '{}', 'ERR_KEY_SOURCE_UNREACHABLE'],
    [503, '<html>', 'ERR_KEY_SOURCE_UNREACHABLE'],
    [403, '<html>', 'ERR_KEY_SOURCE_DENIED'],
    [200, '', 'ERR_KEY_SOURCE_INVALID_RESPONSE'],
    [200, '{"__proto__":{"payload":{}}}', 'ERR_KEY_SOURCE_INVALID_RESPONSE'],
  ])('answers %i %s, in a form of somebody between: %s', async (status, body, code) => {
    respond = (response) => response.writeHead(status, { 'content-type': 'application/json' }).end(body);
    expect((await rejection(source(server).load())).code).toBe(code);
  });

  it('answers what is no secret: refused', async () => {
    for (const body of ['<html>', '{}', '{"payload":{}}']) {
      respond = (response) => response.writeHead(200, { 'content-type': 'application/json' }).end(body);
      const error = await rejection(source(server).load());
      expect(error.code, body).toMatch(/^ERR_KEY_SOURCE_INVALID_RESPONSE$|^ERR_KEYRING_KEY_MISSING$/);
    }
  });

  it('is read no further than the limit', async () => {
    let written = 0;
    respond = (response) => {
      flood(response, (bytes) => {
        written = bytes;
      });
    };
    expect((await rejection(source(server).load())).code).toBe('ERR_KEY_SOURCE_TOO_LARGE');
    expect(written).toBeLessThan(16 * 2 ** 20); // what the sockets hold
  });

  it('is asked once, also where it asks to be asked again', async () => {
    respond = (response) => sendJson(response, 503, googleError(503, 'UNAVAILABLE'));
    expect((await rejection(source(server).load())).code).toBe('ERR_KEY_SOURCE_UNREACHABLE');
    expect(seen).toHaveLength(1);
  });

  it('may be asked by a client that was handed in', async () => {
    const env = { ...NO_CREDENTIALS, GCE_METADATA_HOST: `127.0.0.1:${server.port}` };
    const material = await withEnv(env, async () => {
      const client = new SecretManagerServiceClient({
        fallback: true,
        apiEndpoint: '127.0.0.1',
        port: server.port,
        protocol: 'http',
      });
      const loaded = await gcpSecretManagerSource(`${SECRET}/versions/5`, { client }).load();
      await client.close();
      return loaded;
    });
    expect(material.activeKid).toBe('v1');
    expect(seen[0]?.url).toContain('/versions/5:access');
  });

  it('finds no identity on a machine that has none', async () => {
    const env = { ...NO_CREDENTIALS, METADATA_SERVER_DETECTION: 'none' };
    const error = await rejection(withEnv(env, () => gcpSecretManagerSource(SECRET, {}).load()));
    expect(error.code).toBe('ERR_KEY_SOURCE_NO_CREDENTIALS');
  });

  it('must be named in full', () => {
    for (const secret of [
      'key',
      'projects/acme',
      'projects/acme/secrets/key/',
      'projects/a/b/secrets/key',
      undefined,
    ]) {
      const context = { driver: 'gcp-secret-manager', argument: 'secret' };
      expect(() => gcpSecretManagerSource(secret as string)).toThrow(
        expect.objectContaining({ code: 'ERR_KEY_SOURCE_CONFIG', context: expect.objectContaining(context) }),
      );
    }
  });

  it('has the checksum of RFC 3720, appendix B.4', () => {
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
    expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  });
});
