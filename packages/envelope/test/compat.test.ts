import { createKeyring, type Logger } from '@keywright/envelope';
import {
  decryptCredentials,
  encryptCredentials,
  generateKeyBase64,
  isEncrypted,
  keyringFromEnv,
} from '@keywright/envelope/compat';
import { describe, expect, it } from 'vitest';
import { KEYS, thrown } from './support.ts';

const keyring = keyringFromEnv({ env: { CONNECTOR_CRED_KEY: generateKeyBase64() } });
const credentials = { host: 'db.example', password: 'hunter2' };

describe('credentials', () => {
  it('become a version 1 envelope and come back', () => {
    const stored = encryptCredentials(credentials, keyring);
    expect(stored).toMatchObject({ __enc: 1, kid: 'v1' });
    expect(isEncrypted(stored)).toBe(true);
    expect(JSON.stringify(stored)).not.toContain('hunter2');
    expect(decryptCredentials<unknown>(stored, keyring)).toEqual(credentials);
    expect(decryptCredentials<unknown>(JSON.parse(JSON.stringify(stored)), keyring)).toEqual(credentials);
  });

  it.each([credentials, 'text', null, undefined, 7, [1], { __encrypted: 1 }])(
    'of old, in the clear, pass: %j',
    (legacy) => {
      expect(decryptCredentials<unknown>(legacy, keyring)).toBe(legacy);
      expect(isEncrypted(legacy)).toBe(false);
    },
  );

  it('that are encrypted already are left alone', () => {
    const stored = encryptCredentials(credentials, keyring);
    expect(encryptCredentials(stored, keyring)).toBe(stored);
  });

  it('of before a rotation are read after it', () => {
    const k1 = generateKeyBase64();
    const before = keyringFromEnv({ env: { CONNECTOR_CRED_KEY: k1 } });
    const keys = JSON.stringify({ v1: k1, v2: generateKeyBase64() });
    const after = keyringFromEnv({ env: { CONNECTOR_CRED_KEYS: keys, CONNECTOR_CRED_ACTIVE_KID: 'v2' } });
    const stored = encryptCredentials(credentials, before);
    expect(decryptCredentials<unknown>(stored, after)).toEqual(credentials);
    expect(encryptCredentials(credentials, after).kid).toBe('v2');
    expect(encryptCredentials(stored, after)).toBe(stored);
  });
});

describe('an object that only looks encrypted', () => {
  const planted = { __enc: 1, kid: 'v1', iv: 'AAAAAAAAAAAAAAAA', ct: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' } as const;

  it.each([planted, { __enc: 1 }, { __enc: 7, note: 'mine' }, { __enc: true }, { ...planted, more: 1 }])(
    'is data, and encrypted as such: %j',
    (value) => {
      const stored = encryptCredentials(value, keyring);
      expect(stored).not.toBe(value);
      expect(decryptCredentials<unknown>(stored, keyring)).toEqual(value);
    },
  );

  it('is refused where its key is not at hand: it may be real', () => {
    const foreign = encryptCredentials(credentials, createKeyring({ keys: { other: KEYS.v1 }, activeKid: 'other' }));
    expect(thrown(() => encryptCredentials(foreign, keyring)).code).toBe('ERR_KEYRING_KID_UNKNOWN');
    const rotated = createKeyring({ keys: { other: KEYS.v1, v1: KEYS.v2 }, activeKid: 'v1' });
    rotated.disable('other');
    expect(thrown(() => encryptCredentials(foreign, rotated)).code).toBe('ERR_KEYRING_KEY_NOT_USABLE');
  });

  it.each([
    [planted, 'ERR_ENVELOPE_DECRYPT'],
    [{ __enc: 1 }, 'ERR_ENVELOPE_MALFORMED'],
    [{ __enc: 7 }, 'ERR_ENVELOPE_UNSUPPORTED_VERSION'],
    [{ ...planted, kid: 'v9' }, 'ERR_KEYRING_KID_UNKNOWN'],
  ])('is never handed out as plaintext: %j', (value, code) => {
    expect(thrown(() => decryptCredentials<unknown>(value, keyring)).code).toBe(code);
  });
});

describe('a document of an object mapper', () => {
  /** Fields are getters of the prototype, as mongoose has them. */
  class Document {
    readonly #fields: Record<string, unknown>;
    constructor(fields: Record<string, unknown>) {
      this.#fields = fields;
    }
    get __enc(): unknown {
      return this.#fields.__enc;
    }
    toJSON(): object {
      return { ...this.#fields };
    }
  }

  it('that holds an envelope is decrypted, and left alone by encryption', () => {
    const document = new Document(encryptCredentials(credentials, keyring));
    expect(decryptCredentials<unknown>(document, keyring)).toEqual(credentials);
    expect(encryptCredentials(document, keyring)).toBe(document);
  });

  it('that only inherits a marker never passes for plaintext', () => {
    const error = thrown(() => decryptCredentials(Object.create({ __enc: 1 }), keyring));
    expect(error.code).toBe('ERR_ENVELOPE_NOT_ENCRYPTED');
  });
});

describe('a missing keyring', () => {
  it('is a typed error', () => {
    expect(thrown(() => encryptCredentials('x', undefined as never)).code).toBe('ERR_KEYRING_INVALID_ARGUMENT');
  });
});

describe('the number of version 1 envelopes under a key', () => {
  it('is counted from where the host left off, warned of at 2^31 and refused at 2^32', () => {
    const warnings: string[] = [];
    const logger: Logger = { info: () => undefined, error: () => undefined, warn: (text) => void warnings.push(text) };
    const counts: number[] = [];
    const onV1Use = (_kid: string, uses: number): void => void counts.push(uses);
    const make = (v1: number) => createKeyring({ keys: KEYS, activeKid: 'v1', v1Uses: { v1 }, logger, onV1Use });
    const half = make(2 ** 31 - 2);
    encryptCredentials('x', half);
    expect(warnings).toEqual([]);
    encryptCredentials('x', half);
    expect(warnings).toHaveLength(1);
    encryptCredentials('x', half);
    expect(warnings).toHaveLength(1);
    expect(counts).toEqual([2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1]);
    encryptCredentials('x', make(2 ** 31 + 7));
    expect(warnings).toHaveLength(2);
    expect(half.v1Uses('v1')).toBe(2 ** 31 + 1);
    const full = make(2 ** 32 - 1);
    const last = encryptCredentials('last', full);
    expect(thrown(() => encryptCredentials('x', full)).code).toBe('ERR_KEYRING_KEY_EXHAUSTED');
    expect(decryptCredentials<unknown>(last, full)).toBe('last');
    full.activate('v2');
    expect(encryptCredentials('x', full).kid).toBe('v2');
  });
});
