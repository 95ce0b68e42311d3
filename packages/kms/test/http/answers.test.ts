import { generateKeyPairSync, sign as signWith } from 'node:crypto';
import { isKeywrightError, rawCause } from '@keywright/envelope';
import { type SignAlg, verifySignature } from '@keywright/kms';
import { describe, expect, it } from 'vitest';
import { openAnswering, openRemote, refOf } from './support.ts';

const INPUT = { tenantId: 'acme', keyId: 'k1' };
const DATA = Buffer.from('data');
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const publicJwk = pair.publicKey.export({ format: 'jwk' });
const privateJwk = pair.privateKey.export({ format: 'jwk' });
const refused = (status?: number) => ({
  code: 'ERR_KMS_INVALID_RESPONSE',
  retryable: false,
  ...(status === undefined ? {} : { context: { status } }),
});

describe('what goes over the wire', () => {
  it('is the contract, and nothing of a tenant', async () => {
    const { service, provider } = await openRemote({}, { canImport: true });
    const tenantId = '../../tenant?x=#\u{1F511}';
    const key = await provider.createKey({ tenantId, keyId: 'key-of-the-tenant' });
    const { publicJwk: _, ...ref } = key;
    await provider.sign(ref, Buffer.from([0xfb, 0xff, 0xfe]));
    await provider.deleteKey(ref);
    const imported = await provider.importKey({ tenantId, keyId: 'k2', privateJwk: privateJwk as never, alg: 'ES256' });
    const kid = key.externalId;
    expect(kid).toMatch(/^[0-9a-f]{32}$/);
    expect(service.requests.map(({ method, url, body }) => [method, url, body === '' ? '' : JSON.parse(body)])).toEqual(
      [
        ['POST', '/keys', { kid, alg: 'ES256' }],
        ['POST', `/keys/${kid}/sign`, { data: '+//+', alg: 'ES256' }],
        ['DELETE', `/keys/${kid}`, ''],
        ['POST', `/keys/${imported.externalId}/import`, { privateJwk, alg: 'ES256' }],
      ],
    );
    const everything = JSON.stringify(service.requests);
    expect(everything).not.toContain('tenant');
    expect(service.requests[0]?.headers).toMatchObject({ accept: 'application/json', 'accept-encoding': 'identity' });
  });

  it('is below the paths of the configuration', async () => {
    const { service, provider } = await openRemote({}, { keysPath: '/v1/signing-keys', healthPath: '/v1/live' });
    await provider.createKey(INPUT).catch(() => {});
    await provider.health();
    expect(service.requests.map(({ url }) => url)).toEqual(['/v1/signing-keys', '/v1/live']);
  });

  it.each([0, 1, 2, 3, 1024 * 1024, 16 * 1024 * 1024])('are data of %i bytes', async (length) => {
    const { provider } = await openRemote();
    const key = await provider.createKey(INPUT);
    const data = new Uint8Array(length + 8).fill(7).subarray(8);
    expect(verifySignature('ES256', key.publicJwk, data, await provider.sign(key, data))).toBe(true);
  });

  it.each(['', '..', '../health', 'ab', `${'0'.repeat(31)}/`, `${'0'.repeat(32)}?`, '0'.repeat(33), 'A'.repeat(32)])(
    'is no id that is not ours: %j',
    async (externalId) => {
      const { service, provider } = await openRemote();
      const ref = refOf(provider, { externalId });
      for (const call of [provider.sign(ref, DATA), provider.getPublicKey(ref), provider.deleteKey(ref)]) {
        await expect(call).rejects.toMatchObject({
          code: 'ERR_KMS_INVALID_ARGUMENT',
          context: { argument: 'key.externalId' },
        });
      }
      expect(service.requests).toEqual([]);
    },
  );
});

describe('a created key is refused that is', () => {
  const other = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' });
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
  it.each([
    ['absent', {}],
    ['a text', { publicJwk: 'key' }],
    ['null', { publicJwk: null }],
    ['of another curve', { publicJwk: other }],
    ['of another kind', { publicJwk: { kty: 'oct', k: 'AAAA' } }],
    ['off its curve', { publicJwk: { ...publicJwk, x: publicJwk.y, y: publicJwk.x } }],
    ['without y', { publicJwk: { ...publicJwk, y: undefined } }],
    ['in a list', [publicJwk]],
    ['a number', 7],
  ])('%s', async (_what, body) => {
    const { provider } = await openAnswering(200, body);
    await expect(provider.createKey(INPUT)).rejects.toMatchObject(refused());
  });

  it('a short modulus', async () => {
    const { provider } = await openAnswering(200, { publicJwk: rsa }, { algs: ['RS256'] });
    await expect(provider.createKey(INPUT)).rejects.toMatchObject(refused());
  });

  it.each(['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'])('published by the service: with %s', async (member) => {
    const leaked = 'leaked-private-member';
    const { provider } = await openAnswering(
      200,
      { publicJwk: { ...publicJwk, [member]: leaked } },
      { canImport: true },
    );
    const calls = [
      () => provider.createKey(INPUT),
      () => provider.importKey({ ...INPUT, alg: 'ES256', privateJwk: privateJwk as never }),
      () => provider.getPublicKey(refOf(provider)),
    ];
    for (const call of calls) {
      const error = await call().catch((reason: unknown) => reason);
      expect(error).toMatchObject({
        ...refused(200),
        context: { expected: 'publicJwk without private members: the key has been published' },
      });
      expect(isKeywrightError(error) && rawCause(error)).toBeUndefined();
    }
  });

  it('not the one that was imported', async () => {
    const another = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
    const { provider } = await openAnswering(200, { publicJwk: another }, { canImport: true });
    const imported = provider.importKey({ ...INPUT, alg: 'ES256', privateJwk: privateJwk as never });
    await expect(imported).rejects.toMatchObject({ code: 'ERR_KMS_KEY_MISMATCH' });
  });
});

describe('a signature is refused that is', () => {
  const der = signWith('sha256', DATA, pair.privateKey);
  // Bytes whose base64 and base64url differ.
  const raw = Buffer.alloc(64, 0xfb);
  it.each([
    ['absent', {}],
    ['empty', { signature: '' }],
    ['not text', { signature: [...raw] }],
    ['DER', { signature: der.toString('base64url') }],
    ['too short', { signature: raw.subarray(1).toString('base64url') }],
    ['too long', { signature: Buffer.concat([raw, raw]).toString('base64url') }],
    ['base64', { signature: raw.toString('base64') }],
    ['padded', { signature: `${raw.toString('base64url')}==` }],
    ['hexadecimal', { signature: raw.toString('hex') }],
    ['with a line break', { signature: `${raw.toString('base64url')}\n` }],
  ])('%s', async (_what, body) => {
    const { provider } = await openAnswering(200, body);
    await expect(provider.sign(refOf(provider), DATA)).rejects.toMatchObject(refused());
  });

  it.each<SignAlg>(['ES256', 'EdDSA', 'RS256', 'PS384'])('by another key, where that is asked for: %s', async (alg) => {
    let wrong = false;
    const { service, provider } = await openRemote(
      {
        intercept: ({ url }) => {
          const kid = /^\/keys\/(\w+)\/sign$/.exec(url)?.[1];
          if (!wrong || kid === undefined) return undefined;
          const signature = service.keys.sign(kid, Buffer.from('other data')).toString('base64url');
          return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ signature }) };
        },
      },
      { algs: [alg], verifySignatures: true },
    );
    const { publicJwk: recorded, ...ref } = await provider.createKey(INPUT);
    // by the key as it is recorded, and as the service has it
    for (const key of [{ ...ref, publicJwk: recorded }, ref]) {
      wrong = false;
      expect(verifySignature(alg, recorded, DATA, await provider.sign(key, DATA))).toBe(true);
      wrong = true;
      await expect(provider.sign(key, DATA)).rejects.toMatchObject({
        ...refused(200),
        context: { expected: 'a signature of the data by this key' },
      });
    }
  });
});

describe('a list', () => {
  it('shows keys with names of our making only', async () => {
    const name = '0123456789abcdef'.repeat(2);
    const body = { keys: [{ kid: name }, { kid: 'someone-elses' }, { kid: '../x' }], next: 'page 2&x=/' };
    const { service, provider } = await openAnswering(200, body, { canList: true });
    expect(await provider.listKeys({ limit: 3, cursor: 'page 1' })).toEqual({
      keys: [{ externalId: name, name }],
      cursor: 'page 2&x=/',
    });
    await provider.listKeys({ cursor: 'a&limit=9' });
    expect(service.requests.map(({ url }) => Object.fromEntries(new URL(url, 'http://x').searchParams))).toEqual([
      { limit: '3', after: 'page 1' },
      { limit: '100', after: 'a&limit=9' },
    ]);
  });

  it.each([
    ['that is none', { keys: 'all' }],
    ['of nothing', { keys: [null] }],
    ['of numbers', { keys: [{ kid: 7 }] }],
    ['that leads in a circle', { keys: [], next: 'here' }],
    ['whose cursor is none', { keys: [], next: 7 }],
    ['whose cursor is without bounds', { keys: [], next: 'x'.repeat(2_000) }],
  ])('%s is refused', async (_what, body) => {
    const { provider } = await openAnswering(200, body, { canList: true });
    await expect(provider.listKeys({ cursor: 'here' })).rejects.toMatchObject(refused(200));
  });
});

describe('health', () => {
  it.each([
    ['says that it is not', { ok: false }],
    ['says it in words', { ok: 'true' }],
    ['says nothing', {}],
    ['is a list', []],
  ])('%s: not healthy', async (_what, body) => {
    const { provider } = await openAnswering(200, body);
    const { ok, code } = await provider.health();
    expect(ok).toBe(false);
    expect(code).toMatch(/^ERR_KMS_(UNAVAILABLE|INVALID_RESPONSE)$/);
  });
});
