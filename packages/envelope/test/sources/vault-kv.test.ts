import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKeyBase64 } from '@keywright/envelope';
import { type KeySource, keySourceFromEnv, type VaultKvOptions, vaultKvSource } from '@keywright/envelope/sources';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type KeySourceContent,
  keySourceConformance,
  type PreparedKeySource,
} from '../../src/conformance/key-source.ts';
import { closedPort, flood, rejection, sendJson, serve, shown } from './support.ts';
import { JWT, TOKEN, type VaultServer, vaultServer } from './vault-server.ts';

const PATH = 'secret/data/acme/key';
const folder = mkdtempSync(join(tmpdir(), 'keywright-vault-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** As `vault kv put` stores it: flat, and a map as JSON text. */
function members({ text, keys, activeKid }: KeySourceContent, condition: string): Record<string, unknown> {
  if (condition === 'rotation') return { activeKid, keys: JSON.stringify(keys) };
  if (condition === 'duplicate-kid') return { activeKid, keys: text.slice(text.indexOf('"keys":') + 7, -1) };
  return { key: text };
}

keySourceConformance('vault-kv', {
  impossible: {},
  async prepare(condition, content, timeoutMs): Promise<PreparedKeySource> {
    const server = await vaultServer();
    if (condition !== 'not-found') server.secret = members(content, condition);
    if (condition === 'denied') server.tokens.clear();
    if (condition === 'silent') server.override = () => true;
    if (condition === 'oversized') {
      server.override = (_request, response) => {
        flood(response);
        return true;
      };
    }
    const address = condition === 'unreachable' ? `http://127.0.0.1:${await closedPort()}` : server.url;
    const source = vaultKvSource({ address, path: PATH, auth: { token: TOKEN }, timeoutMs });
    return { source, secrets: [TOKEN], dispose: server.close };
  },
});

describe('Vault', () => {
  let server: VaultServer;
  const key = generateKeyBase64();
  const source = (options: Partial<VaultKvOptions> = {}): KeySource =>
    vaultKvSource({ address: server.url, path: PATH, auth: { token: TOKEN }, ...options });

  beforeAll(async () => {
    server = await vaultServer();
  });
  afterAll(() => server.close());
  beforeEach(() => {
    server.seen.length = 0;
    server.secret = { key };
    server.override = undefined;
  });

  it('is asked once, by GET, with the token and without a trace of it elsewhere', async () => {
    await source({ namespace: 'team/acme' }).load();
    expect(server.seen).toHaveLength(1);
    expect(server.seen[0]).toMatchObject({
      method: 'GET',
      url: '/v1/secret/data/acme/key',
      headers: { 'x-vault-token': TOKEN, 'x-vault-request': 'true', 'x-vault-namespace': 'team/acme' },
    });
  });

  it('is asked for a version where one is named; a deleted one is not found', async () => {
    await source({ version: 2 }).load();
    expect(server.seen[0]?.url).toBe('/v1/secret/data/acme/key?version=2');
    expect((await rejection(source({ version: 1 }).load())).code).toBe('ERR_KEY_SOURCE_NOT_FOUND');
  });

  it.each([301, 302, 303, 307, 308])('is not followed to another host (%i): the token stays', async (status) => {
    const elsewhere: unknown[] = [];
    const thief = await serve((request, response) => {
      elsewhere.push(request.headers);
      sendJson(response, 200, {});
    });
    server.override = (_request, response) => {
      response.writeHead(status, { location: `${thief.url}/v1/secret/data/acme/key` }).end();
      return true;
    };
    const error = await rejection(source().load());
    await thief.close();
    expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_REDIRECTED', retryable: false });
    expect(elsewhere).toEqual([]);
  });

  // https://developer.hashicorp.com/vault/api-docs#http-status-codes
  it.each([
    [400, 'ERR_KEY_SOURCE_INVALID_RESPONSE', false],
    [403, 'ERR_KEY_SOURCE_DENIED', false],
    [404, 'ERR_KEY_SOURCE_NOT_FOUND', false],
    [412, 'ERR_KEY_SOURCE_UNREACHABLE', true],
    [429, 'ERR_KEY_SOURCE_UNREACHABLE', true],
    [473, 'ERR_KEY_SOURCE_UNREACHABLE', true],
    [500, 'ERR_KEY_SOURCE_UNREACHABLE', true],
    [503, 'ERR_KEY_SOURCE_UNREACHABLE', true],
  ])('answers %i: %s, and is not asked again', async (status, code, retryable) => {
    server.override = (_request, response) => {
      sendJson(response, status, { errors: ['canary-in-body'] });
      return true;
    };
    const error = await rejection(source().load());
    expect(error).toMatchObject({ code, retryable, context: { driver: 'vault-kv', received: `status ${status}` } });
    expect(shown(error)).not.toContain('canary');
    expect(server.seen).toHaveLength(1);
  });

  it.each<[string, unknown]>([
    ['no JSON', undefined],
    ['a list', []],
    ['nothing', { data: null }],
    ['a KV version 1 engine', { data: { key } }],
    ['no metadata', { data: { data: { key } } }],
  ])('answers with %s: refused', async (_what, body) => {
    server.override = (_request, response) => {
      if (body === undefined) response.end('<html>');
      else sendJson(response, 200, body);
      return true;
    };
    expect((await rejection(source().load())).code).toBe('ERR_KEY_SOURCE_INVALID_RESPONSE');
  });

  it('hangs up in the middle of its answer: unreachable', async () => {
    server.override = (_request, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"data":', () => response.destroy());
      return true;
    };
    expect((await rejection(source().load())).code).toBe('ERR_KEY_SOURCE_UNREACHABLE');
  });

  it('is read no further than the limit', async () => {
    let written = 0;
    server.override = (_request, response) => {
      flood(response, (bytes) => {
        written = bytes;
      });
      return true;
    };
    expect((await rejection(source().load())).code).toBe('ERR_KEY_SOURCE_TOO_LARGE');
    expect(written).toBeLessThan(16 * 2 ** 20); // what the sockets hold
  });

  it('keeps the connection of a load that timed out no longer than the load', async () => {
    const ended = Promise.withResolvers<void>();
    server.override = (request) => {
      request.socket.once('close', () => ended.resolve());
      return true;
    };
    expect((await rejection(source({ timeoutMs: 100 }).load())).code).toBe('ERR_KEY_SOURCE_TIMEOUT');
    await ended.promise;
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['unknown members', { key, note: 'x' }, 'ERR_KEY_SOURCE_CONTENT_INVALID'],
    ['both forms', { key, activeKid: 'v1', keys: { v1: key } }, 'ERR_KEY_SOURCE_CONTENT_INVALID'],
    ['a map without an active kid', { keys: { v1: key } }, 'ERR_KEY_SOURCE_CONTENT_INVALID'],
    ['an active kid without a map', { activeKid: 'v1' }, 'ERR_KEY_SOURCE_CONTENT_INVALID'],
    ['nothing', {}, 'ERR_KEY_SOURCE_CONTENT_INVALID'],
    ['a map that is empty', { activeKid: 'v1', keys: {} }, 'ERR_KEYRING_KEY_MISSING'],
    ['an active kid that is not in the map', { activeKid: 'v2', keys: { v1: key } }, 'ERR_KEYRING_KID_UNKNOWN'],
    ['an inherited name as the active kid', { activeKid: 'constructor', keys: { v1: key } }, 'ERR_KEYRING_KID_UNKNOWN'],
    ['a kid of a bad form', { activeKid: 'v1', keys: { v1: key, 'a b': key } }, 'ERR_KEYRING_KID_INVALID'],
    ['a key that is a number', { key: 7 }, 'ERR_KEYRING_KEY_INVALID'],
  ])('holds %s: refused', async (_what, secret, code) => {
    server.secret = secret;
    const error = await rejection(source().load());
    expect(error).toMatchObject({ code, context: { driver: 'vault-kv' } });
    expect(shown(error)).not.toContain(key);
  });

  it('may hold a kid of any name that a kid may have', async () => {
    server.secret = {
      activeKid: '__proto__',
      keys: JSON.stringify({ v1: generateKeyBase64() }).replace('v1', '__proto__'),
    };
    const material = await source().load();
    expect(Object.keys(material.keys)).toEqual(['__proto__']);
    server.secret = { key, kid: 'own' };
    expect((await source().load()).activeKid).toBe('own');
  });

  describe('by login', () => {
    const jwtFile = join(folder, 'jwt');
    writeFileSync(jwtFile, `${JWT}\n`);

    it('of Kubernetes: logs in once, and reads with what it got', async () => {
      const loading = source({ auth: { kubernetes: { role: 'acme', jwtFile } } });
      await loading.load();
      await loading.load();
      expect(server.seen.map(({ method, url }) => `${method} ${url}`)).toEqual([
        'POST /v1/auth/kubernetes/login',
        'GET /v1/secret/data/acme/key',
        'GET /v1/secret/data/acme/key',
      ]);
    });

    it('of AppRole, on a mount of its own: logs in again, once, when the token was revoked', async () => {
      const loading = source({ auth: { appRole: { roleId: 'r', secretId: 's', mount: 'other' } } });
      await loading.load();
      const revoked = String(server.seen[1]?.headers['x-vault-token']);
      server.tokens.delete(revoked);
      await loading.load();
      const urls = server.seen.map(({ url }) => url);
      expect(urls.filter((url) => url === '/v1/auth/other/login')).toHaveLength(2);
      expect(urls).toHaveLength(5);
    });

    it('that is refused is denied, without a word of the secrets', async () => {
      const error = await rejection(
        source({ auth: { appRole: { roleId: 'r', secretId: 'canary-secret-id' } } }).load(),
      );
      expect(error.code).toBe('ERR_KEY_SOURCE_DENIED');
      expect(shown(error)).not.toContain('canary');
    });

    it('without the file that proves who this is finds no identity', async () => {
      for (const auth of [
        { tokenFile: join(folder, 'none') },
        { kubernetes: { role: 'acme', jwtFile: join(folder, 'none') } },
      ]) {
        expect((await rejection(source({ auth }).load())).code).toBe('ERR_KEY_SOURCE_NO_CREDENTIALS');
      }
      expect(server.seen).toEqual([]);
    });

    it('by a file that never ends, or that nobody writes, finds no identity, and waits for nothing', async () => {
      const pipe = join(folder, 'pipe');
      expect(spawnSync('mkfifo', [pipe]).status).toBe(0);
      writeFileSync(join(folder, 'empty'), '\n');
      for (const path of [pipe, '/dev/zero', folder, join(folder, 'empty')]) {
        for (const auth of [{ tokenFile: path }, { kubernetes: { role: 'acme', jwtFile: path } }]) {
          const error = await rejection(source({ auth, timeoutMs: 5_000 }).load());
          expect(error, path).toMatchObject({ code: 'ERR_KEY_SOURCE_NO_CREDENTIALS' });
        }
      }
      expect(server.seen).toEqual([]);
    });

    it('that gives no token to send is an answer of something else', async () => {
      for (const client_token of ['canary\r\nx-evil: 1', '', 7]) {
        server.override = (_request, response) => {
          sendJson(response, 200, { auth: { client_token, lease_duration: 1 } });
          return true;
        };
        const error = await rejection(source({ auth: { kubernetes: { role: 'acme', jwtFile } } }).load());
        expect(error.code).toBe('ERR_KEY_SOURCE_INVALID_RESPONSE');
        expect(shown(error)).not.toContain('canary');
      }
    });

    it('by a token file reads the file at each load', async () => {
      const tokenFile = join(folder, 'token');
      writeFileSync(tokenFile, 'hvs.old');
      const loading = source({ auth: { tokenFile } });
      expect((await rejection(loading.load())).code).toBe('ERR_KEY_SOURCE_DENIED');
      writeFileSync(tokenFile, `${TOKEN}\n`);
      expect((await loading.load()).activeKid).toBe('v1');
    });
  });

  it('speaks TLS, to an authority that is trusted and to no other', async () => {
    const [keyPath, certPath] = [join(folder, 'tls.key'), join(folder, 'tls.crt')];
    const subject = ['-subj', '/CN=vault', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const made = [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      keyPath,
      '-out',
      certPath,
    ];
    expect(spawnSync('openssl', ['req', '-x509', '-days', '2', ...made, ...subject]).status).toBe(0);
    const tls = { key: readFileSync(keyPath, 'utf8'), cert: readFileSync(certPath, 'utf8') };
    const secure = await serve((_request, response) => {
      sendJson(response, 200, { data: { data: { key }, metadata: { version: 1 } } });
    }, tls);
    const options = {
      ENCRYPTION_KEY_SOURCE: 'vault',
      VAULT_ADDR: secure.url,
      VAULT_TOKEN: TOKEN,
      VAULT_CACERT: certPath,
    };
    expect((await keySourceFromEnv({ env: options }).load()).activeKid).toBe('v1');
    const error = await rejection(keySourceFromEnv({ env: { ...options, VAULT_CACERT: '' } }).load());
    await secure.close();
    expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_UNREACHABLE', cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' } });
  });
});

describe('the configuration of a Vault source', () => {
  const good: VaultKvOptions = { address: 'https://vault.example.com:8200', path: PATH, auth: { token: TOKEN } };

  it.each<[string, Partial<Record<keyof VaultKvOptions, unknown>>, string]>([
    ['plain http to another machine', { address: 'http://vault.example.com:8200' }, 'address'],
    ['http to what only looks local', { address: 'http://localhost.example.com' }, 'address'],
    ['http to what only looks like 127.', { address: 'http://127.0.0.1.example.com' }, 'address'],
    ['another scheme', { address: 'file:///etc/passwd' }, 'address'],
    ['no address', { address: undefined }, 'address'],
    ['a password in the address', { address: 'https://u:canary@vault.example.com' }, 'address'],
    ['a query in the address', { address: 'https://vault.example.com?canary' }, 'address'],
    ['a path that climbs', { path: 'secret/data/../../sys/seal' }, 'path'],
    ['a path that begins with a slash', { path: '/secret/data/x' }, 'path'],
    ['an empty path', { path: '' }, 'path'],
    ['no auth', { auth: undefined }, 'auth'],
    ['two ways to authenticate', { auth: { token: 'canary', tokenFile: '/x' } }, 'auth'],
    ['an unknown way to authenticate', { auth: { ldap: {} } }, 'auth'],
    ['a token with a line break', { auth: { token: 'canary\r\nx-evil: 1' } }, 'auth.token'],
    ['a namespace with a line break', { namespace: 'a\nb' }, 'namespace'],
    ['version 0', { version: 0 }, 'version'],
    ['a version that is a text', { version: 'canary' }, 'version'],
    ['a path that is not well-formed', { path: 'secret/data/\ud800' }, 'path'],
    ["no authorities, which Node takes for the system's", { ca: '' }, 'ca'],
    ['authorities that are none', { ca: 'canary' }, 'ca'],
    [
      'an authority that cannot be read',
      { ca: '-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----' },
      'ca',
    ],
    ['a role of nothing', { auth: { kubernetes: undefined } }, 'auth.kubernetes'],
    ['an AppRole of nothing', { auth: { appRole: null } }, 'auth.appRole'],
    ['the token of a file descriptor', { auth: { kubernetes: { role: 'a', jwtFile: 0 } } }, 'auth.kubernetes.jwtFile'],
    ['no time at all', { timeoutMs: 0 }, 'timeoutMs'],
    ['no end of time', { timeoutMs: Number.POSITIVE_INFINITY }, 'timeoutMs'],
  ])('with %s is refused when it is made', async (_what, change, argument) => {
    const error = await rejection((async () => vaultKvSource({ ...good, ...change } as VaultKvOptions))());
    expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_CONFIG', context: { driver: 'vault-kv', argument } });
    expect(shown(error)).not.toContain('canary');
  });

  it('takes http to another machine where that is asked for', () => {
    expect(vaultKvSource({ ...good, address: 'http://vault:8200', allowHttp: true }).name).toBe('vault-kv');
  });

  it('encodes what a segment of the path may hold', async () => {
    const server = await vaultServer();
    await rejection(vaultKvSource({ ...good, address: server.url, path: 'secret/data/a?version=1#x' }).load());
    expect(server.seen[0]?.url).toBe('/v1/secret/data/a%3Fversion%3D1%23x');
    await server.close();
  });
});
