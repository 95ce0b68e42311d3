import { createHmac } from 'node:crypto';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { describe, expect, it } from 'vitest';
import { CONTEXT, KEYS, testKeyring, thrown } from './support.ts';

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

describe('createKeyring', () => {
  it('takes a key as base64, hex or bytes, and they are the same key', () => {
    const hex = Buffer.from(KEYS.v2).toString('hex');
    const forms = [KEYS.v2, base64(KEYS.v2), hex, hex.toUpperCase(), new Uint8Array(KEYS.v2)];
    const envelope = createKeyring({ keys: { k: KEYS.v2 }, activeKid: 'k' }).encrypt('x', { context: CONTEXT });
    for (const key of forms) {
      expect(createKeyring({ keys: { k: key }, activeKid: 'k' }).decrypt(envelope, { context: CONTEXT })).toBe('x');
    }
  });

  it('copies the bytes it is given', () => {
    const key = Uint8Array.from(KEYS.v2);
    const keyring = createKeyring({ keys: { k: key }, activeKid: 'k' });
    const envelope = keyring.encrypt('x', { context: CONTEXT });
    key.fill(0);
    expect(createKeyring({ keys: { k: KEYS.v2 }, activeKid: 'k' }).decrypt(envelope, { context: CONTEXT })).toBe('x');
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['an empty string', ''],
    ['16 bytes', KEYS.v1.subarray(16)],
    ['16 bytes as base64', base64(KEYS.v1.subarray(16))],
    ['33 bytes', Buffer.alloc(33)],
    ['base64 without padding', base64(KEYS.v1).replace('=', '')],
    ['base64url', Buffer.alloc(32, 0xfb).toString('base64url')],
    ['base64 with stray bits', `${base64(Buffer.alloc(32)).slice(0, 42)}B=`],
    ['base64 with a blank', ` ${base64(KEYS.v1)}`],
    ['a password', 'correct horse battery staple'],
    ['hex of 31 bytes', 'ab'.repeat(31)],
    ['hex with another letter', `${'ab'.repeat(31)}ag`],
    ['a number', 32],
  ])('refuses %s as a key, naming its kid and not the key', (_what, key) => {
    const error = thrown(() => createKeyring({ keys: { mine: key as never }, activeKid: 'mine' }));
    expect(error).toMatchObject({ code: 'ERR_KEYRING_KEY_INVALID', name: 'KeyringError', context: { kid: 'mine' } });
    if (typeof key === 'string' && key.length > 8) expect(inspect(error)).not.toContain(key);
  });

  it.each(['', 'a b', 'ü', 'a/b', 'a\n', 'v'.repeat(65)])('refuses %j as a kid', (kid) => {
    const error = thrown(() => createKeyring({ keys: { [kid]: KEYS.v1 }, activeKid: kid }));
    expect(error.code).toBe('ERR_KEYRING_KID_INVALID');
  });

  it('takes kids that every object has as members for what they are', () => {
    const keys = JSON.parse(`{"__proto__":"${base64(KEYS.v1)}","constructor":"${base64(KEYS.v2)}"}`);
    const keyring = createKeyring({ keys, activeKid: '__proto__' });
    expect(keyring.kids).toEqual(['__proto__', 'constructor']);
    expect(keyring.decrypt(keyring.encrypt('x', { context: CONTEXT }), { context: CONTEXT })).toBe('x');
  });

  it('refuses no keys and an active kid without a key', () => {
    expect(thrown(() => createKeyring({ keys: {}, activeKid: 'v1' })).code).toBe('ERR_KEYRING_KEY_MISSING');
    const error = thrown(() => createKeyring({ keys: KEYS, activeKid: 'v3' }));
    expect(error).toMatchObject({ code: 'ERR_KEYRING_KID_UNKNOWN', context: { kid: 'v3' } });
  });

  it.each(['hex', 'base64', 'base64url'] as const)(
    'does not echo a key that stands where its id belongs: %s',
    (form) => {
      const key = Buffer.from(KEYS.v2).toString(form);
      const keyring = testKeyring();
      for (const work of [
        () => createKeyring({ keys: { v1: KEYS.v2 }, activeKid: key }),
        () => keyring.activate(key),
        () => keyring.state(key),
      ]) {
        const error = thrown(work);
        expect(error.code).toMatch(/^ERR_KEYRING_KID_/);
        expect(inspect(error) + JSON.stringify(error)).not.toContain(key);
      }
    },
  );
});

describe('what a keyring is made of', () => {
  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['no keys', { activeKid: 'v1' }],
    ['null for keys', { keys: null, activeKid: 'v1' }],
    ['a Map of keys', { keys: new Map([['v1', KEYS.v1]]), activeKid: 'v1' }],
    ['a count that is no number', { keys: KEYS, activeKid: 'v1', v1Uses: { v1: Number.NaN } }],
    ['a negative count', { keys: KEYS, activeKid: 'v1', v1Uses: { v1: -1 } }],
    ['a count as text', { keys: KEYS, activeKid: 'v1', v1Uses: { v1: '7' } }],
    ['null for counts', { keys: KEYS, activeKid: 'v1', v1Uses: null }],
    ['a hook that cannot be called', { keys: KEYS, activeKid: 'v1', onV1Use: 'log' }],
    ['a logger that cannot warn', { keys: KEYS, activeKid: 'v1', logger: {} }],
  ])('refuses %s', (_what, options) => {
    expect(thrown(() => createKeyring(options as never)).code).toBe('ERR_KEYRING_INVALID_ARGUMENT');
  });

  it('counts from 0 for a kid that every object has as a member', () => {
    const keyring = createKeyring({ keys: { constructor: KEYS.v1 }, activeKid: 'constructor', v1Uses: {} });
    expect(keyring.v1Uses('constructor')).toBe(0);
  });

  it('refuses one key under two ids', () => {
    const error = thrown(() => createKeyring({ keys: { a: KEYS.v1, b: base64(KEYS.v1) }, activeKid: 'a' }));
    expect(error).toMatchObject({ code: 'ERR_KEYRING_KEY_DUPLICATE', context: { kid: 'b' } });
    expect(thrown(() => testKeyring().add('v3', KEYS.v2)).code).toBe('ERR_KEYRING_KEY_DUPLICATE');
  });

  it('keeps nothing of the keys it was given but its own copies', async () => {
    const collected: string[] = [];
    const registry = new FinalizationRegistry<string>((what) => collected.push(what));
    const make = (): ReturnType<typeof createKeyring> => {
      const keys = { v1: Uint8Array.from(KEYS.v1), v2: KEYS.v2 };
      registry.register(keys, 'the object');
      registry.register(keys.v1, 'the bytes');
      return createKeyring({ keys, activeKid: 'v2' });
    };
    const keyring = make();
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    for (let turn = 0; turn < 20 && collected.length < 2; turn++) {
      collect();
      await new Promise(setImmediate);
    }
    expect(collected.sort()).toEqual(['the bytes', 'the object']);
    expect(keyring.kids).toEqual(['v1', 'v2']);
  });

  it('refuses a key whose memory was given away', () => {
    const key = Uint8Array.from(KEYS.v1);
    structuredClone(key.buffer, { transfer: [key.buffer] });
    expect(thrown(() => createKeyring({ keys: { k: key }, activeKid: 'k' })).code).toBe('ERR_KEYRING_KEY_INVALID');
    expect(thrown(() => testKeyring().encryptBytes(key, { context: {} })).code).toBe('ERR_ENVELOPE_INVALID_VALUE');
  });
});

describe('key states', () => {
  const twoKeys = () => testKeyring('v1');

  it('start as one active key and others that only decrypt', () => {
    const keyring = twoKeys();
    expect([keyring.activeKid, keyring.state('v1'), keyring.state('v2')]).toEqual(['v1', 'active', 'decrypt-only']);
    expect(keyring.encrypt('x', { context: CONTEXT }).kid).toBe('v1');
  });

  it('rotate: added, activated, the old one still reads', () => {
    const keyring = createKeyring({ keys: { v1: KEYS.v1 }, activeKid: 'v1' });
    const old = keyring.encrypt('old', { context: CONTEXT });
    keyring.add('v2', KEYS.v2);
    expect(keyring.encrypt('x', { context: CONTEXT }).kid).toBe('v1');
    keyring.activate('v2');
    expect(keyring.encrypt('x', { context: CONTEXT }).kid).toBe('v2');
    expect([keyring.state('v1'), keyring.state('v2')]).toEqual(['decrypt-only', 'active']);
    expect(keyring.decrypt(old, { context: CONTEXT })).toBe('old');
    keyring.activate('v2');
    expect(keyring.activeKid).toBe('v2');
  });

  it('refuse a disabled key at once, cached or not, until it is enabled', () => {
    const keyring = twoKeys();
    const envelope = keyring.encrypt('x', { context: CONTEXT });
    expect(keyring.decrypt(envelope, { context: CONTEXT })).toBe('x');
    keyring.activate('v2');
    keyring.disable('v1');
    expect(thrown(() => keyring.decrypt(envelope, { context: CONTEXT }))).toMatchObject({
      code: 'ERR_KEYRING_KEY_NOT_USABLE',
      context: { kid: 'v1', state: 'disabled' },
    });
    expect(thrown(() => keyring.activate('v1')).code).toBe('ERR_KEYRING_STATE_CONFLICT');
    keyring.enable('v1');
    expect(keyring.decrypt(envelope, { context: CONTEXT })).toBe('x');
  });

  it('keep a destroyed key destroyed and its id taken', () => {
    const keyring = twoKeys();
    const envelope = testKeyring('v2').encrypt('x', { context: CONTEXT });
    keyring.destroy('v2');
    expect(thrown(() => keyring.decrypt(envelope, { context: CONTEXT })).code).toBe('ERR_KEYRING_KEY_NOT_USABLE');
    for (const work of [() => keyring.enable('v2'), () => keyring.activate('v2'), () => keyring.disable('v2')]) {
      expect(thrown(work).code).toBe('ERR_KEYRING_STATE_CONFLICT');
    }
    expect(thrown(() => keyring.add('v2', KEYS.v2)).code).toBe('ERR_KEYRING_KID_DUPLICATE');
    expect(keyring.state('v2')).toBe('destroyed');
  });

  it('never leave the keyring without an active key', () => {
    const keyring = twoKeys();
    for (const work of [() => keyring.disable('v1'), () => keyring.destroy('v1'), () => keyring.enable('v1')]) {
      expect(thrown(work).code).toBe('ERR_KEYRING_STATE_CONFLICT');
    }
    expect(keyring.state('v1')).toBe('active');
  });

  it('refuse an unknown kid everywhere', () => {
    const keyring = twoKeys();
    for (const bad of ['a b', '', generateKeyBase64()]) {
      expect(thrown(() => keyring.add(bad, KEYS.v1)).code).toBe('ERR_KEYRING_KID_INVALID');
      expect(thrown(() => keyring.activate(bad)).code).toBe('ERR_KEYRING_KID_INVALID');
    }
    const works = [
      () => keyring.state('v3'),
      () => keyring.activate('v3'),
      () => keyring.disable('v3'),
      () => keyring.enable('v3'),
      () => keyring.destroy('v3'),
      () => keyring.v1Uses('v3'),
    ];
    for (const work of works) expect(thrown(work).code).toBe('ERR_KEYRING_KID_UNKNOWN');
  });
});

describe('a keyring as a wrapper of keys', () => {
  it('returns what it wrapped, under the same context only', async () => {
    const keyring = testKeyring();
    const wrapped = await keyring.wrapKey(KEYS.v2, { context: { kind: 'tenant-kek', tenant: 'acme', kek: '1' } });
    expect(wrapped.kid).toBe('v1');
    const context = { kind: 'tenant-kek', tenant: 'acme', kek: '1' };
    expect(Buffer.from(await keyring.unwrapKey(wrapped, { context }))).toEqual(KEYS.v2);
    for (const kid of ['v2', 'nope']) {
      await expect(keyring.unwrapKey({ ...wrapped, kid }, { context })).rejects.toMatchObject({
        code: 'ERR_ENVELOPE_DECRYPT',
      });
    }
    await expect(keyring.unwrapKey(wrapped, { context: { ...context, tenant: 'globex' } })).rejects.toMatchObject({
      code: 'ERR_ENVELOPE_DECRYPT',
    });
    await expect(keyring.unwrapKey(undefined as never, { context })).rejects.toMatchObject({
      code: 'ERR_ENVELOPE_NOT_ENCRYPTED',
    });
  });

  it('tells keys apart by their check values', async () => {
    const keyring = testKeyring();
    const value = await keyring.checkValue('v1');
    expect(value).toHaveLength(8);
    expect(await keyring.verifyCheckValue('v1', value)).toBe(true);
    expect(await keyring.verifyCheckValue('v2', value)).toBe(false);
    expect(await keyring.verifyCheckValue('v1', value.subarray(1))).toBe(false);
    expect(await keyring.verifyCheckValue('v1', value.subarray(0, 7))).toBe(false);
    expect(await keyring.verifyCheckValue('v1', new Uint8Array(0))).toBe(false);
    // frozen: databases hold it
    expect(Buffer.from(value).toString('hex')).toBe(
      createHmac('sha256', KEYS.v1).update('keywright/check-value').digest('hex').slice(0, 16),
    );
    await expect(keyring.checkValue('v3')).rejects.toMatchObject({ code: 'ERR_KEYRING_KID_UNKNOWN' });
  });
});

describe('a key that may not be used', () => {
  it('is refused by every method, not only for objects', async () => {
    const keyring = testKeyring();
    const bytes = keyring.encryptBytes(KEYS.v2, { context: CONTEXT });
    const keyed = keyring.mac('test', ['x']);
    const value = await keyring.checkValue('v1');
    keyring.activate('v2');
    keyring.disable('v1');
    const code = 'ERR_KEYRING_KEY_NOT_USABLE';
    expect(thrown(() => keyring.decryptBytes(bytes, { context: CONTEXT })).code).toBe(code);
    expect(thrown(() => keyring.verifyMac('test', ['x'], keyed)).code).toBe(code);
    await expect(keyring.checkValue('v1')).rejects.toMatchObject({ code });
    await expect(keyring.verifyCheckValue('v1', value)).rejects.toMatchObject({ code });
    await expect(keyring.unwrapKey({ kid: 'v1', wrapped: bytes }, { context: CONTEXT })).rejects.toMatchObject({
      code,
    });
  });
});

describe('mac', () => {
  it('is HMAC-SHA-256 of the PAE of the parts under HKDF-SHA-512 of key, kid and purpose', () => {
    const pae = (...parts: Buffer[]): Buffer => {
      const le64 = (n: number): Buffer => Buffer.from([n, 0, 0, 0, 0, 0, 0, 0]);
      return Buffer.concat([le64(parts.length), ...parts.flatMap((part) => [le64(part.length), part])]);
    };
    const info = pae(Buffer.from('keywright/mac'), Buffer.from('v2'), Buffer.from('test.purpose'));
    const key = hkdf(sha512, KEYS.v2, undefined, info, 32);
    const expected = createHmac('sha256', key)
      .update(pae(Buffer.from('é'), KEYS.v1))
      .digest();
    expect(testKeyring('v2').mac('test.purpose', ['é', KEYS.v1])).toEqual({ kid: 'v2', mac: expected });
  });

  it.each<[string, unknown, unknown]>([
    ['a lone surrogate', 'p', ['a\ud800']],
    ['a purpose with a lone surrogate', 'p\ud800', ['a']],
    ['a number', 'p', [1]],
    ['an ArrayBuffer, whose bytes nobody would read', 'p', [new ArrayBuffer(8)]],
    ['another typed array', 'p', [new Uint16Array(4)]],
    ['no list', 'p', 'a'],
    ['a list with a hole', 'p', Object.assign([], { 1: 'a' })],
    ['no purpose', undefined, ['a']],
  ])('refuses %s, which has no one encoding', (_what, purpose, parts) => {
    const keyring = testKeyring();
    expect(thrown(() => keyring.mac(purpose as never, parts as never)).code).toBe('ERR_ENVELOPE_INVALID_VALUE');
    const keyed = keyring.mac('p', []);
    expect(thrown(() => keyring.verifyMac(purpose as never, parts as never, keyed)).code).toBe(
      'ERR_ENVELOPE_INVALID_VALUE',
    );
  });

  it('covers key, purpose and every part', () => {
    const keyring = testKeyring();
    const keyed = keyring.mac('test.purpose', ['a', 'bc', KEYS.v1]);
    expect(keyed.kid).toBe('v1');
    expect(keyring.verifyMac('test.purpose', ['a', 'bc', KEYS.v1], keyed)).toBe(true);
    expect(keyring.verifyMac('test.purpose', ['ab', 'c', KEYS.v1], keyed)).toBe(false);
    expect(keyring.verifyMac('test.purpose', ['a', 'bc'], keyed)).toBe(false);
    expect(keyring.verifyMac('test.other', ['a', 'bc', KEYS.v1], keyed)).toBe(false);
    expect(keyring.verifyMac('test.purpose', ['a', 'bc', KEYS.v1], { ...keyed, kid: 'v2' })).toBe(false);
    expect(keyring.verifyMac('test.purpose', ['a', 'bc', KEYS.v1], { ...keyed, mac: keyed.mac.subarray(1) })).toBe(
      false,
    );
  });
});

describe('a keyring that is shown', () => {
  it('tells ids and states, never a key', () => {
    const keyring = testKeyring();
    expect(JSON.parse(JSON.stringify(keyring))).toEqual({
      activeKid: 'v1',
      keys: { v1: 'active', v2: 'decrypt-only' },
    });
    const text = inspect(keyring, { depth: 10, showHidden: true });
    for (const key of Object.values(KEYS)) {
      expect(text).not.toContain(base64(key));
      expect(text).not.toContain(Buffer.from(key).toString('hex').slice(0, 16));
    }
  });

  it('generates keys that are keys', () => {
    const keys = Array.from({ length: 20 }, generateKeyBase64);
    expect(new Set(keys).size).toBe(20);
    for (const key of keys) {
      expect(key).toMatch(/^[A-Za-z0-9+/]{43}=$/);
      createKeyring({ keys: { k: key }, activeKid: 'k' });
    }
  });
});
