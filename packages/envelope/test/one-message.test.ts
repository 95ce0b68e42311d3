import { createKeyring, decryptBytesOnce } from '@keywright/envelope';
import { expect, it } from 'vitest';
import { CONTEXT, hex, KEYS, thrown } from './support.ts';

const KID = 'dek';
const options = { kid: KID, key: KEYS.v1, context: CONTEXT };
const keyring = createKeyring({ keys: { [KID]: KEYS.v1 }, activeKid: KID });
const plaintext = Buffer.from('a message');
const sealed = keyring.encryptBytes(plaintext, { context: CONTEXT });

it('opens what a keyring of that one key has sealed, whatever was opened before', () => {
  for (const kid of ['dek', 'other', 'dek']) {
    const ring = createKeyring({ keys: { [kid]: KEYS.v2 }, activeKid: kid });
    const bytes = ring.encryptBytes(Buffer.from(kid), { context: {} });
    expect(decryptBytesOnce(bytes, { kid, key: KEYS.v2, context: {} }).toString()).toBe(kid);
  }
  expect(hex(decryptBytesOnce(sealed, options))).toBe(hex(plaintext));
  expect(hex(decryptBytesOnce(new Uint8Array(sealed), options))).toBe(hex(plaintext));
});

it('refuses every change of a byte as a keyring does, with one error for all', () => {
  for (let at = 0; at < sealed.length; at++) {
    const changed = Buffer.from(sealed);
    changed[at] = (changed[at] as number) ^ 1;
    const { code, message } = thrown(() => decryptBytesOnce(changed, options));
    const expected = thrown(() => keyring.decryptBytes(changed, { context: CONTEXT }));
    expect([at, code, message]).toEqual([at, expected.code, expected.message]);
  }
  for (let length = 0; length < sealed.length; length++) {
    const cut = sealed.subarray(0, length);
    const expected = thrown(() => keyring.decryptBytes(cut, { context: CONTEXT }));
    expect(thrown(() => decryptBytesOnce(cut, options)).code).toBe(expected.code);
  }
});

it('refuses another key, context, id and suite, and what is no key', () => {
  const other = (change: object): string | undefined =>
    thrown(() => decryptBytesOnce(sealed, { ...options, ...change })).code;
  expect(other({ key: KEYS.v2 })).toBe('ERR_ENVELOPE_DECRYPT');
  expect(other({ context: { ...CONTEXT, id: '43' } })).toBe('ERR_ENVELOPE_DECRYPT');
  expect(other({ context: undefined })).toBe('ERR_ENVELOPE_INVALID_CONTEXT');
  expect(other({ kid: 'dek2' })).toBe('ERR_KEYRING_KID_UNKNOWN');
  expect(other({ kid: 'a b' })).toBe('ERR_KEYRING_KID_INVALID');
  expect(other({ key: Buffer.alloc(31) })).toBe('ERR_KEYRING_KEY_INVALID');
  expect(thrown(() => decryptBytesOnce('x' as never, options)).code).toBe('ERR_ENVELOPE_NOT_ENCRYPTED');
  const suite = Buffer.from(sealed);
  suite[3] = 2;
  expect(thrown(() => decryptBytesOnce(suite, options)).code).toBe('ERR_KEYRING_SUITE_MISSING');
});

it('keeps nothing of the key: it may be wiped, and so may the plaintext', () => {
  const key = Buffer.from(KEYS.v1);
  const opened = decryptBytesOnce(sealed, { ...options, key });
  expect(hex(key)).toBe(hex(KEYS.v1));
  key.fill(0);
  opened.fill(0);
  expect(hex(decryptBytesOnce(sealed, options))).toBe(hex(plaintext));
});
