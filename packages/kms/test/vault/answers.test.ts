import { createPublicKey } from 'node:crypto';
import { inspect } from 'node:util';
import { rawCause } from '@keywright/envelope';
import type { KmsError, KmsProvider, PrivateJwk } from '@keywright/kms';
import { describe, expect, it } from 'vitest';
import { type Answer, keyData, openAnswering, PUBLIC_KEY, REF, TOKEN } from './answering.ts';
import { IMPORTED } from './import-keys.ts';
import { refusal } from './support.ts';

const DATA = Buffer.from('data');
const KEY = Buffer.alloc(32, 7);
const CONTEXT = { purpose: 'test' };
const WRAPPING = { externalId: 'mount/key' };
const INPUT = { tenantId: 'acme', keyId: 'k1', name: REF.externalId };
const errors = (status: number, ...texts: readonly string[]): Answer => ({ status, body: { errors: texts } });
const isSign = (path: string): boolean => path.includes('/sign/');
const isKey = (path: string): boolean => path.includes('/keys/');

/** Every operation that asks Vault. */
const OPERATIONS: Readonly<Record<string, (provider: KmsProvider) => Promise<unknown>>> = {
  createKey: (provider) => provider.createKey(INPUT),
  getPublicKey: (provider) => provider.getPublicKey(REF),
  sign: (provider) => provider.sign(REF, DATA),
  deleteKey: (provider) => provider.deleteKey(REF),
  listKeys: (provider) => provider.listKeys({ tenantId: 'acme' }),
  createWrappingKey: (provider) => provider.createWrappingKey(),
  wrapKey: (provider) => provider.wrapKey(WRAPPING, KEY, CONTEXT),
  unwrapKey: (provider) => provider.unwrapKey(WRAPPING, Buffer.from('vault:v1:AAAA'), CONTEXT),
};

describe('what is no answer of a Vault', () => {
  it.each([
    ['HTML with 200', { status: 200, body: '<html>login</html>' }],
    ['JSON of something else', { status: 200, body: { ok: true } }],
    ['a list', { status: 200, body: [] }],
    ['null', { status: 200, body: null }],
    ['data that are a text', { status: 200, body: { data: 'x' } }],
    ['data that are empty', { status: 200, body: { data: {} } }],
    ['data of other types', { status: 200, body: { data: { type: 1, keys: [1], signature: 1, ciphertext: {} } } }],
    ['a redirect', { status: 302, body: {}, headers: { location: 'https://example.com/' } }],
    ['404 of a proxy', { status: 404, body: '<html>not found</html>' }],
    ['404 of another service', { status: 404, body: { message: 'not found' } }],
    ['404 of another service, with errors', { status: 404, body: { errors: [{ title: 'Not Found' }] } }],
  ] as const)('%s: is refused by every operation, and nobody waits', async (_what, answer) => {
    for (const [operation, run] of Object.entries(OPERATIONS)) {
      const { provider } = await openAnswering(() => answer);
      const error = await refusal(run(provider));
      const codes = ['ERR_KMS_INVALID_RESPONSE', ...(operation.startsWith('create') ? ['ERR_KMS_KEY_EXISTS'] : [])];
      expect(codes, operation).toContain(error.code);
      expect(inspect(error, { depth: 9 })).not.toContain(TOKEN);
    }
  });

  it.each([
    ['another version', `vault:v2:${'A'.repeat(86)}`],
    ['no prefix', 'A'.repeat(86)],
    ['no text', 7],
    ['too long', `vault:v1:${'A'.repeat(5_000)}`],
    ['too short', 'vault:v1:AAAA'],
    ['empty', 'vault:v1:'],
  ])('a signature with %s is refused', async (_what, signature) => {
    const { provider } = await openAnswering(({ path }) =>
      isSign(path) ? { status: 200, body: { data: { signature } } } : keyData(),
    );
    expect(await refusal(provider.sign(REF, DATA))).toMatchObject({ code: 'ERR_KMS_INVALID_RESPONSE' });
  });

  it.each([
    ['exportable', { exportable: true }],
    ['open to backup', { allow_plaintext_backup: true }],
    ['in its second version', { latest_version: 2 }],
    ['without a public key', { keys: { 1: {} } }],
    ['with a public key that is none', { keys: { 1: { public_key: 'PEM' } } }],
    [
      'with the public key of another curve',
      { keys: { 1: { public_key: PUBLIC_KEY.replace('DAQcDQgAE', 'DAQcDQgAF') } } },
    ],
  ])('a new key that is %s is refused', async (_what, over) => {
    const { provider } = await openAnswering(({ method }) => (method === 'POST' ? keyData(over) : undefined));
    expect(await refusal(provider.createKey(INPUT))).toMatchObject({ code: 'ERR_KMS_INVALID_RESPONSE' });
  });

  it('a derived key, which has another public key for every context, is not used', async () => {
    const { provider } = await openAnswering(() => keyData({ derived: true }));
    expect(await refusal(provider.sign(REF, DATA))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_USABLE' });
  });

  it('a huge answer and one that never ends are given up', async () => {
    const huge = await openAnswering(() => ({ status: 200, body: { data: 'x'.repeat(2 ** 21) } }));
    expect(await refusal(huge.provider.sign(REF, DATA))).toMatchObject({ code: 'ERR_KMS_INVALID_RESPONSE' });
    const silent = await openAnswering(() => 'hang', { attemptTimeoutMs: 100, timeoutMs: 300 });
    const refusals = await Promise.all(Object.values(OPERATIONS).map((run) => refusal(run(silent.provider))));
    for (const error of refusals) expect(error).toMatchObject({ code: 'ERR_KMS_TIMEOUT' });
  });
});

describe('what a Vault refuses', () => {
  it.each([
    [errors(400, 'signing key not found'), 'ERR_KMS_KEY_NOT_FOUND'],
    [errors(404), 'ERR_KMS_KEY_NOT_FOUND'],
    [errors(404, 'no handler for route "x/sign/y". route entry not found.'), 'ERR_KMS_KEY_NOT_FOUND'],
    [errors(404, 'namespace not found'), 'ERR_KMS_INVALID_RESPONSE'],
    [errors(403, 'permission denied'), 'ERR_KMS_DENIED'],
    [errors(405, 'unsupported operation'), 'ERR_KMS_UNSUPPORTED'],
    [errors(400, 'something new'), 'ERR_KMS_BACKEND'],
    [errors(412, 'required index state not present'), 'ERR_KMS_UNAVAILABLE'],
    [errors(429, 'rate limit quota exceeded'), 'ERR_KMS_THROTTLED'],
    [errors(472), 'ERR_KMS_UNAVAILABLE'],
    [errors(473), 'ERR_KMS_UNAVAILABLE'],
    [errors(500, 'internal error'), 'ERR_KMS_UNAVAILABLE'],
    [errors(502), 'ERR_KMS_UNAVAILABLE'],
    [errors(503, 'Vault is sealed'), 'ERR_KMS_UNAVAILABLE'],
  ] as const)('%j is %s, and its text is not shown', async (answer, code) => {
    const { provider } = await openAnswering(({ path }) =>
      isSign(path) ? answer : isKey(path) ? keyData() : undefined,
    );
    const error = await refusal(provider.sign(REF, DATA));
    const { status } = answer as { status: number };
    expect(error).toMatchObject({ code, context: { status, operation: 'sign', keyId: 'k1' } });
    for (const text of (answer as { body: { errors: string[] } }).body.errors) {
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(text);
    }
  });

  it('is asked again while it passes, after the pause that it asks for', async () => {
    let calls = 0;
    const { provider } = await openAnswering(
      ({ path }) => {
        if (!isSign(path)) return isKey(path) ? keyData() : undefined;
        calls++;
        return calls < 2
          ? { ...(errors(429) as object), status: 429, headers: { 'retry-after': '1' } }
          : { status: 200, body: { data: { signature: `vault:v1:${'A'.repeat(86)}` } } };
      },
      { retries: 3 },
    );
    const start = performance.now();
    await expect(provider.sign(REF, DATA)).resolves.toHaveLength(64);
    expect(performance.now() - start).toBeGreaterThan(950);
  });

  it('a delete that is not done is an error, and one of what is gone is none', async () => {
    const answering = (answer: Answer) =>
      openAnswering(({ method }) => (method === 'DELETE' ? answer : { status: 204 }));
    const { provider } = await answering(errors(400, 'error deleting policy x: deletion is not allowed for this key'));
    expect(await refusal(provider.deleteKey(REF))).toMatchObject({ code: 'ERR_KMS_BACKEND' });
    const elsewhere: readonly Answer[] = [
      { status: 404, body: '<html>' },
      { status: 404, body: { errors: [{ title: 'Not Found' }] } },
      errors(404, 'no handler for route "x". route entry not found.'),
      errors(404, 'namespace not found'),
    ];
    for (const answer of elsewhere) {
      const other = await answering(answer);
      expect(await refusal(other.provider.deleteKey(REF))).toMatchObject({ code: 'ERR_KMS_INVALID_RESPONSE' });
    }
    for (const gone of [errors(400, 'error deleting policy x: could not delete key; not found'), errors(404)]) {
      await (await answering(gone)).provider.deleteKey(REF);
    }
  });
});

describe('health', () => {
  const health = (status: number, over: object = {}): Answer => ({
    status,
    body: { initialized: true, sealed: false, standby: false, ...over },
  });

  it.each([
    ['a standby', health(429, { standby: true }), 'ERR_KMS_UNAVAILABLE'],
    ['a standby for disaster recovery', health(472), 'ERR_KMS_UNAVAILABLE'],
    ['a performance standby', health(473), 'ERR_KMS_UNAVAILABLE'],
    ['not initialized', health(501, { initialized: false, sealed: true }), 'ERR_KMS_UNAVAILABLE'],
    ['sealed', health(503, { sealed: true }), 'ERR_KMS_UNAVAILABLE'],
    ['sealed, with 200', health(200, { sealed: true }), 'ERR_KMS_INVALID_RESPONSE'],
    ['no Vault', { status: 200, body: { ok: true } }, 'ERR_KMS_INVALID_RESPONSE'],
    ['a 404', { status: 404, body: '<html>' }, 'ERR_KMS_INVALID_RESPONSE'],
  ] as const)('%s is not healthy', async (_what, answer, code) => {
    const { provider } = await openAnswering(({ path }) => (path === '/v1/sys/health' ? answer : undefined));
    expect(await provider.health()).toMatchObject({ ok: false, code });
  });

  it.each([
    [{ status: 500, body: { errors: [] } }, 'ERR_KMS_UNAVAILABLE'],
    [{ status: 200, body: {} }, 'ERR_KMS_INVALID_RESPONSE'],
  ] as const)('a token about which Vault answers %j is not healthy', async (answer, code) => {
    const { provider } = await openAnswering(({ path }) => (path === '/v1/sys/health' ? health(200) : answer));
    expect(await provider.health()).toMatchObject({ ok: false, code });
  });

  it('is asked for without a token, which is asked about on its own', async () => {
    const { provider, requests } = await openAnswering(({ path }) =>
      path === '/v1/sys/health' ? health(200) : undefined,
    );
    expect(await provider.health()).toMatchObject({ ok: true });
    expect(requests[0]).toBe('GET /v1/sys/health');
    expect(requests).toContain('GET /v1/auth/token/lookup-self');
  });
});

describe('HashiCorp’s Vault, where it differs', () => {
  it('a key that existed is not taken over, by the warning that tells of it', async () => {
    const { provider } = await openAnswering(({ method }) => {
      if (method !== 'POST') return undefined;
      const { body } = keyData() as { body: object };
      return { status: 200, body: { ...body, warnings: ['key c0ffee already existed'] } };
    });
    expect(await refusal(provider.createKey(INPUT))).toMatchObject({ code: 'ERR_KMS_KEY_EXISTS' });
  });

  it('older ones answer with nothing when a key is made; it is read', async () => {
    let isMade = false;
    const { provider } = await openAnswering(({ method, path }) => {
      if (!isKey(path)) return undefined;
      if (method === 'POST') isMade = true;
      return method === 'POST' ? { status: 204 } : isMade ? keyData() : errors(404);
    });
    expect(await provider.createKey(INPUT)).toMatchObject({ externalId: REF.externalId, externalVersion: '1' });
  });

  it('lists everything whatever page is asked for, and is cut into pages', async () => {
    const names = Array.from({ length: 9 }, (_, index) => `${index}`.padStart(32, 'a'));
    const keys = ['import/', ...names, 'other'];
    const { provider } = await openAnswering(({ path }) =>
      path.includes('/keys?') ? { status: 200, body: { data: { keys } } } : undefined,
    );
    const listed: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await provider.listKeys({ tenantId: 'acme', limit: 2, cursor });
      listed.push(...page.keys.map(({ externalId }) => externalId));
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect(listed).toEqual([...names].sort());
  });

  it('one that knows no associated data binds nothing, so it wraps nothing', async () => {
    const warnings = ['Endpoint ignored these unrecognized parameters: [associated_data]'];
    const { provider } = await openAnswering(({ path }) => {
      const data = path.includes('/encrypt/') ? { ciphertext: 'vault:v1:AAAA' } : { plaintext: 'AAAA' };
      return path.includes('/mount/') ? { status: 200, body: { data, warnings } } : undefined;
    });
    const unsupported = { code: 'ERR_KMS_UNSUPPORTED', retryable: false };
    expect(await refusal(provider.wrapKey(WRAPPING, KEY, CONTEXT))).toMatchObject(unsupported);
    const wrapped = Buffer.from('vault:v1:AAAA');
    expect(await refusal(provider.unwrapKey(WRAPPING, wrapped, CONTEXT))).toMatchObject(unsupported);
  });

  it('a mount that another made meanwhile is used, told by 400 or by 409', async () => {
    for (const status of [400, 409]) {
      let isMounted = false;
      const { provider, requests } = await openAnswering(({ method, path }) => {
        if (path.startsWith('/v1/sys/mounts/')) {
          isMounted = true;
          return errors(status, 'path is already in use at keywright/x/');
        }
        if (!isKey(path)) return undefined;
        if (!isMounted) return errors(404, 'no handler for route "x". route entry not found.');
        return method === 'POST' ? keyData() : errors(404);
      });
      await provider.createKey(INPUT);
      expect(requests.filter((request) => request.includes('sys/mounts'))).toHaveLength(1);
    }
  });

  it('another refusal of a mount is one, whatever its status', async () => {
    const { provider } = await openAnswering(({ path }) =>
      path.startsWith('/v1/sys/mounts/')
        ? errors(400, 'plugin not found in the catalog: transit')
        : errors(404, 'no handler for route "x". route entry not found.'),
    );
    const error = await refusal(provider.createKey(INPUT));
    expect(error).toMatchObject({ code: 'ERR_KMS_BACKEND', context: { operation: 'mount' } });
    expect(rawCause(error as KmsError)).toEqual({
      name: 'VaultAnswer',
      status: 400,
      errors: 'plugin not found in the catalog: transit',
    });
  });

  it('a mount is asked for again after the pause that was asked for', async () => {
    let asked = 0;
    const start = performance.now();
    const { provider } = await openAnswering(
      ({ method, path }) => {
        if (path.startsWith('/v1/sys/mounts/')) {
          return ++asked === 1 ? { status: 429, headers: { 'retry-after': '1' } } : { status: 204 };
        }
        if (asked < 2) return errors(404, 'no handler for route "x". route entry not found.');
        return method === 'POST' ? keyData() : errors(404);
      },
      { retries: 1 },
    );
    await provider.createKey(INPUT);
    expect(performance.now() - start).toBeGreaterThan(950);
  });

  it('the key that a mount takes imports under is read again when one is refused: the mount may be another', async () => {
    const jwk = { kty: 'RSA', n: Buffer.alloc(512, 0xff).toString('base64url'), e: 'AQAB' };
    const publicKey = createPublicKey({ format: 'jwk', key: jwk });
    const answer = { status: 200, body: { data: { public_key: publicKey.export({ format: 'pem', type: 'spki' }) } } };
    const { provider, requests } = await openAnswering(({ path }) => {
      if (path.endsWith('/wrapping_key')) return answer;
      return path.endsWith('/import') ? errors(500, 'error unwrapping key') : undefined;
    });
    const privateJwk = IMPORTED.ES256 as PrivateJwk;
    for (let call = 1; call <= 2; call++) {
      await refusal(provider.importKey({ ...INPUT, alg: 'ES256', privateJwk }));
      expect(requests.filter((request) => request.endsWith('/wrapping_key'))).toHaveLength(call);
    }
  });
});
