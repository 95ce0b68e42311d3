import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
import {
  createKmsKeys,
  createKmsRegistry,
  dbProvider,
  type JwsHeader,
  type KmsKey,
  type KmsProvider,
  migrateKmsTables,
  publicJwks,
  SIGN_ALGS,
  signJws,
  signJwsFlattened,
} from '@keywright/kms';
import { compactVerify, createLocalJWKSet, decodeProtectedHeader, flattenedVerify, importJWK, jwtVerify } from 'jose';
import createKnex from 'knex';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyOfEach } from './support/software-keys.ts';

const knex = createKnex({ client: 'better-sqlite3', connection: { filename: ':memory:' }, useNullAsDefault: true });
let provider: KmsProvider;
let keys: ReadonlyMap<string, KmsKey>;

beforeAll(async () => {
  const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
  await migrateKmsTables({ knex });
  provider = dbProvider({ id: 'db', knex, root });
  keys = await keyOfEach(provider, 'acme');
});
afterAll(async () => {
  await provider.close();
  await knex.destroy();
});

it('signs with the keys of a tenant as with their provider, and with those of no other tenant', async () => {
  const tenants = createKmsKeys({ knex, registry: createKmsRegistry({ providers: [provider] }) });
  const acme = tenants.tenant('acme');
  const key = await acme.create({ keyId: 'of-the-table' });
  const jws = await signJws(acme, key, 'text');
  expect(text((await compactVerify(jws, await publicKey(key))).payload)).toBe('text');
  await expect(signJws(tenants.tenant('globex'), key, 'text')).rejects.toMatchObject({
    code: 'ERR_KMS_INVALID_ARGUMENT',
  });
  const { publicJwk: _, ...ref } = key;
  // @ts-expect-error a tenant's keys take records, not mere references
  void (() => signJws(acme, ref, 'text'));
});

const keyOf = (alg: string): KmsKey => keys.get(alg) as KmsKey;
const publicKey = async ({ publicJwk, alg }: KmsKey) => await importJWK({ ...publicJwk }, alg);
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

describe.each(SIGN_ALGS)('%s', (alg) => {
  it('compact: jose verifies it by the key, and the header says what it was signed with', async () => {
    const key = keyOf(alg);
    for (const payload of ['', 'Grüße 🦓', Buffer.from([0, 255, 128])]) {
      const jws = await signJws(provider, key, payload, { header: { typ: 'example' } });
      const verified = await compactVerify(jws, await publicKey(key), { algorithms: [alg] });
      expect(verified.protectedHeader).toEqual({ alg, kid: `key-${alg}`, typ: 'example' });
      expect(Buffer.from(verified.payload)).toEqual(Buffer.from(payload));
      const [head, body, signature] = jws.split('.');
      const other = Buffer.from('another').toString('base64url');
      await expect(compactVerify(`${head}.${other}.${signature}`, await publicKey(key))).rejects.toThrow();
      expect(body).toBe(Buffer.from(payload).toString('base64url'));
    }
  });

  it('flattened: jose verifies it by the key', async () => {
    const key = keyOf(alg);
    const jws = await signJwsFlattened(provider, key, '{"a":1}');
    const verified = await flattenedVerify(jws, await publicKey(key), { algorithms: [alg] });
    expect(text(verified.payload)).toBe('{"a":1}');
    expect(verified.protectedHeader).toEqual({ alg, kid: `key-${alg}` });
    expect(Object.keys(jws).sort()).toEqual(['payload', 'protected', 'signature']);
  });
});

describe('the protected header', () => {
  const header = async (given?: JwsHeader): Promise<unknown> =>
    decodeProtectedHeader(await signJws(provider, keyOf('ES256'), 'x', given === undefined ? {} : { header: given }));

  it('has the key’s id as kid, another that the caller gives, or none', async () => {
    expect(await header()).toEqual({ alg: 'ES256', kid: 'key-ES256' });
    expect(await header({ kid: undefined })).toEqual({ alg: 'ES256', kid: 'key-ES256' });
    expect(await header({ kid: 'did:example:1#k' })).toEqual({ alg: 'ES256', kid: 'did:example:1#k' });
    expect(await header({ kid: null })).toEqual({ alg: 'ES256' });
  });

  it('has what else the caller gives, and the alg that is the key’s', async () => {
    const { publicJwk } = keyOf('ES256');
    const given = {
      alg: 'ES256',
      typ: 'JWT',
      cty: 'x',
      jwk: publicJwk,
      x5c: ['MIIB'],
      nested: { list: [1, true, null] },
    };
    expect(await header(given)).toEqual({ ...given, kid: 'key-ES256' });
    expect(await header(Object.assign(Object.create(null), { typ: 'JWT' }))).toMatchObject({ typ: 'JWT' });
    expect(await header({ typ: undefined, ['__proto__']: 'own' })).toEqual(
      JSON.parse('{"alg":"ES256","kid":"key-ES256","__proto__":"own"}'),
    );
  });

  class Instance {
    readonly typ = 'JWT';
  }
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  it.each<[string, unknown, string]>([
    ['another alg', { alg: 'ES384' }, 'header.alg'],
    ['no alg', { alg: 'none' }, 'header.alg'],
    ['null as alg', { alg: null }, 'header.alg'],
    ['b64', { b64: false, crit: ['b64'] }, 'header.b64'],
    ['b64 that changes nothing', { b64: true }, 'header.b64'],
    ['crit', { crit: ['exp'], exp: 1 }, 'header.crit'],
    ['an empty kid', { kid: '' }, 'header.kid'],
    ['a kid that is no text', { kid: 7 }, 'header.kid'],
    ['a typ that is no text', { typ: ['JWT'] }, 'header.typ'],
    ['a private key', { jwk: { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', d: 'd' } }, 'header.jwk'],
    ['a shared key', { jwk: { kty: 'oct', k: 'k' } }, 'header.jwk'],
    ['a jwk that is no object', { jwk: 'x' }, 'header.jwk'],
    ['no certificate', { x5c: [] }, 'header.x5c'],
    ['PEM', { x5c: ['-----BEGIN CERTIFICATE-----'] }, 'header.x5c'],
    ['a date', { at: new Date() }, 'header'],
    ['a map', { map: new Map() }, 'header'],
    ['a promise', { later: Promise.resolve(1) }, 'header'],
    ['NaN', { n: Number.NaN }, 'header'],
    ['a bigint', { n: 1n }, 'header'],
    ['a function', { f: () => 1 }, 'header'],
    ['bytes', { bytes: Buffer.of(1) }, 'header'],
    ['undefined in a list', { list: [undefined] }, 'header'],
    ['a lone surrogate', { text: '\ud800' }, 'header'],
    ['a cycle', cycle, 'header'],
    [
      'a getter that throws',
      {
        get typ() {
          throw new Error('secret text');
        },
      },
      'header',
    ],
    ['toJSON', { toJSON: () => ({ alg: 'none' }) }, 'header'],
    ['an instance', new Instance(), 'header'],
    ['a list', [], 'header'],
    ['text', 'typ', 'header'],
    ['very much', { text: 'x'.repeat(70_000) }, 'header'],
  ])('refuses %s', async (_, given, argument) => {
    const refused = signJws(provider, keyOf('ES256'), 'x', { header: given as JwsHeader });
    await expect(refused).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT', context: { argument } });
    expect(JSON.stringify(await refused.catch((error: unknown) => error))).not.toContain('secret text');
  });
});

it('refuses other payloads, keys and options; a call’s options reach the provider', async () => {
  const key = keyOf('ES256');
  const invalid = (argument: string) => ({ code: 'ERR_KMS_INVALID_ARGUMENT', context: { argument } });
  for (const payload of [undefined, null, {}, [1], 7, '\udfff', new ArrayBuffer(2)]) {
    await expect(signJws(provider, key, payload as never)).rejects.toMatchObject(invalid('payload'));
  }
  for (const payload of ['x'.repeat(2 ** 24 + 1), new Uint8Array(2 ** 24 + 1)]) {
    await expect(signJws(provider, key, payload)).rejects.toMatchObject(invalid('payload'));
  }
  await expect(signJws(provider, undefined as never, 'x')).rejects.toMatchObject(invalid('key.alg'));
  await expect(signJws(provider, { ...key, alg: 'none' as never }, 'x')).rejects.toMatchObject(invalid('key.alg'));
  await expect(signJws(provider, key, 'x', 'options' as never)).rejects.toMatchObject(invalid('options'));
  const aborted = signJws(provider, key, 'x', { signal: AbortSignal.abort() });
  await expect(aborted).rejects.toMatchObject({ code: 'ERR_KMS_ABORTED' });
});

describe('publicJwks', () => {
  it('is the document by which jose finds the key of a token, public members only', async () => {
    const all = [...keys.values()];
    const document = publicJwks(all.map((key) => ({ ...key, publicJwk: { ...key.publicJwk, d: 'private' } })));
    expect(JSON.stringify(document)).not.toContain('private');
    expect(document.keys).toEqual(
      all.map(({ publicJwk, keyId, alg }) => ({ ...publicJwk, kid: keyId, alg, use: 'sig' })),
    );
    const jwks = createLocalJWKSet(structuredClone(document) as never);
    for (const key of all) {
      const token = await signJws(provider, key, JSON.stringify({ sub: 'acme' }), { header: { typ: 'JWT' } });
      expect((await jwtVerify(token, jwks)).payload).toEqual({ sub: 'acme' });
    }
    expect(publicJwks([])).toEqual({ keys: [] });
  });

  it('refuses two keys of one id, and what is no key', () => {
    const key = keyOf('ES256');
    for (const [given, argument] of [
      [[key, { ...key, tenantId: 'globex' }], 'keys[1].keyId'],
      [[key, null], 'keys[1]'],
      [[{ ...key, alg: 'ES384' }], 'keys[0].publicJwk'],
      [[{ ...key, publicJwk: undefined }], 'keys[0].publicJwk'],
      [[{ ...key, alg: 'none' }], 'keys[0].alg'],
      [key, 'keys'],
    ] as const) {
      const context = expect.objectContaining({ argument });
      const refused = expect.objectContaining({ code: 'ERR_KMS_INVALID_ARGUMENT', context });
      expect(() => publicJwks(given as never)).toThrow(refused);
    }
  });
});
