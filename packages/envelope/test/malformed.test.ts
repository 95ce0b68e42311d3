import { inspectEnvelope, isEncrypted } from '@keywright/envelope';
import { describe, expect, it } from 'vitest';
import { CONTEXT, testKeyring, thrown } from './support.ts';

const keyring = testKeyring();
const envelope = keyring.encrypt('x', { context: CONTEXT });

describe('what is no envelope', () => {
  it.each<[string, unknown, string]>([
    ['null', null, 'ERR_ENVELOPE_NOT_ENCRYPTED'],
    ['undefined', undefined, 'ERR_ENVELOPE_NOT_ENCRYPTED'],
    ['text', 'sk_test_1', 'ERR_ENVELOPE_NOT_ENCRYPTED'],
    ['the text of an envelope', JSON.stringify(envelope), 'ERR_ENVELOPE_NOT_ENCRYPTED'],
    ['a plain object', { apiKey: 'x' }, 'ERR_ENVELOPE_NOT_ENCRYPTED'],
    ['an array', [envelope], 'ERR_ENVELOPE_NOT_ENCRYPTED'],
    ['an inherited marker', Object.create(envelope), 'ERR_ENVELOPE_NOT_ENCRYPTED'],
    ['version 0', { ...envelope, __enc: 0 }, 'ERR_ENVELOPE_UNSUPPORTED_VERSION'],
    ['version 3', { ...envelope, __enc: 3 }, 'ERR_ENVELOPE_UNSUPPORTED_VERSION'],
    ['version "2"', { ...envelope, __enc: '2' }, 'ERR_ENVELOPE_UNSUPPORTED_VERSION'],
    ['version null', { ...envelope, __enc: null }, 'ERR_ENVELOPE_UNSUPPORTED_VERSION'],
    ['only a marker', { __enc: 2 }, 'ERR_ENVELOPE_MALFORMED'],
    ['a missing iv', { __enc: 2, kid: 'v1', ct: envelope.ct }, 'ERR_ENVELOPE_MALFORMED'],
    ['a ct that is an object', { ...envelope, ct: {} }, 'ERR_ENVELOPE_MALFORMED'],
    ['a kid that is a number', { ...envelope, kid: 1 }, 'ERR_ENVELOPE_MALFORMED'],
    ['an empty kid', { ...envelope, kid: '' }, 'ERR_ENVELOPE_MALFORMED'],
    ['a kid with other characters', { ...envelope, kid: 'v1\n' }, 'ERR_ENVELOPE_MALFORMED'],
    ['a kid of 65 characters', { ...envelope, kid: 'v'.repeat(65) }, 'ERR_ENVELOPE_MALFORMED'],
    ['an unknown field', { ...envelope, note: 'rides along' }, 'ERR_ENVELOPE_MALFORMED'],
    ['an alg where none belongs', { ...envelope, alg: 'A256GCM' }, 'ERR_ENVELOPE_MALFORMED'],
    ['the alg of a later suite', { ...envelope, alg: 'XC99P' }, 'ERR_ENVELOPE_UNSUPPORTED_VERSION'],
    ['a hidden field', Object.defineProperty({ ...envelope }, 'note', { value: 1 }), 'ERR_ENVELOPE_MALFORMED'],
    ['a field named by a symbol', { ...envelope, [Symbol('note')]: 1 }, 'ERR_ENVELOPE_MALFORMED'],
    [
      'an inherited kid',
      Object.assign(Object.create({ kid: 'v1' }), { __enc: 2, iv: '', ct: '', x: 1 }),
      'ERR_ENVELOPE_MALFORMED',
    ],
    ['an unknown kid', { ...envelope, kid: 'v9' }, 'ERR_KEYRING_KID_UNKNOWN'],
    ['a kid that every object has', { ...envelope, kid: 'constructor' }, 'ERR_KEYRING_KID_UNKNOWN'],
    ['a kid that every object has, another', { ...envelope, kid: '__proto__' }, 'ERR_KEYRING_KID_UNKNOWN'],
    ['the beginning of a kid', { ...envelope, kid: 'v' }, 'ERR_KEYRING_KID_UNKNOWN'],
  ])('%s is refused', (_what, input, code) => {
    expect(thrown(() => keyring.decrypt(input, { context: CONTEXT })).code).toBe(code);
    if (code !== 'ERR_KEYRING_KID_UNKNOWN') {
      expect(isEncrypted(input)).toBe(false);
      expect(thrown(() => inspectEnvelope(input)).code).toBe(code);
    }
  });

  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), 'ERR_ENVELOPE_NOT_ENCRYPTED'],
    ['other bytes', Buffer.from('PK\u0003\u0004'), 'ERR_ENVELOPE_NOT_ENCRYPTED'],
    ['only the magic', Buffer.from('KW'), 'ERR_ENVELOPE_UNSUPPORTED_VERSION'],
    ['a later version', Buffer.from([0x4b, 0x57, 3, 1, 1, 0x61]), 'ERR_ENVELOPE_UNSUPPORTED_VERSION'],
    ['a later suite', Buffer.from([0x4b, 0x57, 2, 9, 1, 0x61]), 'ERR_ENVELOPE_UNSUPPORTED_VERSION'],
    ['no kid', Buffer.from([0x4b, 0x57, 2, 1]), 'ERR_ENVELOPE_MALFORMED'],
    ['a kid of length 0', Buffer.from([0x4b, 0x57, 2, 1, 0]), 'ERR_ENVELOPE_MALFORMED'],
    ['a kid longer than the rest', Buffer.from([0x4b, 0x57, 2, 1, 9, 0x61]), 'ERR_ENVELOPE_MALFORMED'],
    ['nothing after the kid', Buffer.from([0x4b, 0x57, 2, 1, 2, 0x76, 0x31]), 'ERR_ENVELOPE_DECRYPT'],
  ])('%s is refused as bytes', (_what, input, code) => {
    expect(thrown(() => keyring.decryptBytes(input, { context: CONTEXT })).code).toBe(code);
    if (code !== 'ERR_ENVELOPE_DECRYPT') expect(thrown(() => inspectEnvelope(input)).code).toBe(code);
  });

  it('is never shown, whatever stands in its version', () => {
    const error = thrown(() => keyring.decrypt({ ...envelope, __enc: 'sk_live_secret' }, { context: CONTEXT }));
    expect(error.code).toBe('ERR_ENVELOPE_UNSUPPORTED_VERSION');
    expect(JSON.stringify(error)).not.toContain('sk_live_secret');
  });

  it('is not an envelope when it cannot even be looked at', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(isEncrypted(proxy)).toBe(false);
    const hostile = { ...envelope };
    Object.defineProperty(hostile, 'kid', {
      enumerable: true,
      get: () => {
        throw new Error('no');
      },
    });
    expect(isEncrypted(hostile)).toBe(false);
  });

  it('is read once: a field that changes between two looks is one field', () => {
    const reads: string[] = [];
    const watched = new Proxy(envelope, {
      get: (target, field, receiver) => {
        reads.push(String(field));
        return Reflect.get(target, field, receiver);
      },
    });
    expect(keyring.decrypt(watched, { context: CONTEXT })).toBe('x');
    expect(reads.toSorted()).toEqual(['__enc', 'alg', 'ct', 'iv', 'kid']);
  });

  it('is told apart from what is one', () => {
    expect(isEncrypted(envelope)).toBe(true);
    expect(isEncrypted({ __enc: 1, kid: 'v1', iv: '', ct: '' })).toBe(true);
    expect(inspectEnvelope(envelope)).toEqual({ version: 2, form: 'object', suite: 'A256GCM', kid: 'v1' });
    const bytes = keyring.encryptBytes(new Uint8Array(3), { context: CONTEXT });
    expect(inspectEnvelope(bytes)).toEqual({ version: 2, form: 'bytes', suite: 'A256GCM', kid: 'v1' });
  });
});

describe('values that cannot be encrypted', () => {
  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a bigint', 1n],
    ['a promise that nobody awaited', Promise.resolve('x')],
    ['a Map', new Map([['apiKey', 'x']])],
    ['a Set', new Set(['x'])],
    ['a cycle', cyclic],
    [
      'a toJSON that throws',
      {
        toJSON: () => {
          throw new Error('sk_live_secret');
        },
      },
    ],
    ['deeper than the stack', deep(200_000)],
  ])('%s is refused', (_what, value) => {
    const error = thrown(() => keyring.encrypt(value as never, { context: CONTEXT }));
    expect(error.code).toBe('ERR_ENVELOPE_INVALID_VALUE');
    expect(`${error.stack} ${JSON.stringify(error)}`).not.toContain('sk_live_secret');
  });

  it.each(['text', 7, null, undefined, [1, 2], new ArrayBuffer(3)])('%j is not bytes', (value) => {
    expect(thrown(() => keyring.encryptBytes(value as never, { context: CONTEXT })).code).toBe(
      'ERR_ENVELOPE_INVALID_VALUE',
    );
    expect(thrown(() => keyring.decryptBytes(value as never, { context: CONTEXT })).code).toBe(
      'ERR_ENVELOPE_NOT_ENCRYPTED',
    );
  });
});

describe('contexts that bind nothing or not for sure', () => {
  class Row {
    tenant = 'acme';
  }

  it.each<[string, unknown]>([
    ['no options', undefined],
    ['no context', {}],
    ['null', { context: null }],
    ['text', { context: 'tenant=acme' }],
    ['a Map, which has no members', { context: new Map([['tenant', 'acme']]) }],
    ['an instance', { context: new Row() }],
    ['an array', { context: ['acme'] }],
    ['a symbol as a key', { context: { [Symbol('tenant')]: 'acme' } }],
    ['inherited pairs', { context: Object.create(Object.assign(Object.create(null), { tenant: 'acme' })) }],
    ['a number', { context: { tenant: 42 } }],
    ['undefined', { context: { tenant: undefined } }],
    ['a nested object', { context: { tenant: { id: 'acme' } } }],
    ['a lone surrogate in a value', { context: { tenant: 'a\ud800' } }],
    ['a lone surrogate in a key', { context: { '\udfff': 'acme' } }],
  ])('%s is refused when encrypting and when decrypting', (_what, options) => {
    expect(thrown(() => keyring.encrypt('x', options as never)).code).toBe('ERR_ENVELOPE_INVALID_CONTEXT');
    expect(thrown(() => keyring.decrypt(envelope, options as never)).code).toBe('ERR_ENVELOPE_INVALID_CONTEXT');
    expect(thrown(() => keyring.encryptBytes(Buffer.from('x'), options as never)).code).toBe(
      'ERR_ENVELOPE_INVALID_CONTEXT',
    );
  });

  it('names the pair that is wrong', () => {
    const context = { tenant: 'acme', id: 42 } as never;
    expect(thrown(() => keyring.encrypt('x', { context }))).toMatchObject({ context: { field: 'id' } });
  });

  it('a context without a prototype is as good as another', () => {
    const context = Object.assign(Object.create(null), CONTEXT);
    expect(keyring.decrypt(envelope, { context })).toBe('x');
  });

  it('an empty context is taken where it is written out', () => {
    const unbound = keyring.encrypt('x', { context: {} });
    expect(keyring.decrypt(unbound, { context: {} })).toBe('x');
  });

  it('a long context is bound to its last byte', () => {
    const context = { long: 'é'.repeat(10_000), more: 'x'.repeat(10_000) };
    const bound = keyring.encrypt('x', { context });
    expect(keyring.decrypt(bound, { context })).toBe('x');
    expect(thrown(() => keyring.decrypt(bound, { context: { ...context, more: `${context.more}y` } })).code).toBe(
      'ERR_ENVELOPE_DECRYPT',
    );
  });
});

function deep(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}
