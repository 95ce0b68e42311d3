import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type JsonInput, keyringFromEnv } from '@keywright/envelope';
import { decryptCredentials, encryptCredentials } from '@keywright/envelope/compat';
import { describe, expect, it } from 'vitest';
import {
  decryptV1,
  decryptV2,
  decryptV2Bytes,
  encryptV1,
  encryptV2,
  encryptV2Bytes,
  type Json,
} from './interop/independent.ts';
import { askPython, findPython } from './interop/python.ts';
import { KEYS, testKeyring } from './support.ts';

const keyring = testKeyring();
const VALUES: readonly Json[] = [
  null,
  0,
  -1.5,
  1e21,
  '',
  'text',
  'ünïcødé 🔑 \u0000\u2028',
  [],
  {},
  { apiKey: 'sk_test_1', nested: { list: [1, null, true], __enc: 1, ['__proto__']: 'own' } },
  'x'.repeat(100_000),
];
const CONTEXTS: readonly Record<string, string>[] = [
  {},
  { tenant: 'acme' },
  { b: '2', a: '1', '10': 'x', '9': 'y' },
  // UTF-8 order differs from UTF-16 order: U+FF61 is EF BD A1, U+10000 is F0 90 80 80 but D800 DC00
  { '\uff61': 'half-width', '\u{10000}': 'astral', ä: 'umlaut', z: 'ascii' },
  { '': 'an empty key', empty: '' },
];

describe('v1', () => {
  it.each(VALUES)('opens what node:crypto seals by the book, and the other way round (%#)', (value) => {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', KEYS.v1, nonce);
    const ct = Buffer.concat([cipher.update(JSON.stringify(value), 'utf8'), cipher.final(), cipher.getAuthTag()]);
    const theirs = { __enc: 1, kid: 'v1', iv: nonce.toString('base64'), ct: ct.toString('base64') };
    expect(keyring.decrypt(theirs, { context: {} })).toEqual(value);
    expect(keyring.decrypt(theirs, { context: { any: 'context' } })).toEqual(value);
    expect(decryptCredentials<unknown>(theirs, keyring)).toEqual(value);

    const ours = encryptCredentials(value as JsonInput, keyring);
    expect(Object.keys(ours)).toEqual(['__enc', 'kid', 'iv', 'ct']);
    const sealed = Buffer.from(ours.ct, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', KEYS.v1, Buffer.from(ours.iv, 'base64'));
    decipher.setAuthTag(sealed.subarray(-16));
    const plaintext = Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
    expect(JSON.parse(plaintext.toString())).toEqual(value);
  });

  it.each(VALUES)('agrees with an implementation in pure JavaScript (%#)', (value) => {
    expect(keyring.decrypt(encryptV1(KEYS.v1, 'v1', value), { context: {} })).toEqual(value);
    expect(decryptV1(KEYS.v1, encryptCredentials(value as JsonInput, keyring) as never)).toEqual(value);
  });
});

describe.each(CONTEXTS.map((context) => ({ context })))('v2 under $context', ({ context }) => {
  it.each(VALUES)('agrees with an implementation in pure JavaScript (%#)', (value) => {
    expect(keyring.decrypt(encryptV2(KEYS.v1, 'v1', context, value), { context })).toEqual(value);
    expect(decryptV2(KEYS.v1, keyring.encrypt(value as JsonInput, { context }), context)).toEqual(value);
  });

  it('agrees on bytes', () => {
    for (const length of [0, 1, 15, 16, 17, 1000]) {
      const bytes = randomBytes(length);
      const theirs = encryptV2Bytes(KEYS.v1, 'v1', context, bytes);
      expect(keyring.decryptBytes(theirs, { context })).toEqual(bytes);
      const ours = keyring.encryptBytes(bytes, { context });
      expect(Buffer.from(decryptV2Bytes(KEYS.v1, ours, context))).toEqual(bytes);
    }
  });
});

const python = findPython();
if (python === undefined && process.env.KEYWRIGHT_REQUIRE === 'all') {
  throw new Error('KEYWRIGHT_REQUIRE=all: no Python with the package "cryptography" (Debian: python3-cryptography)');
}

describe.skipIf(python === undefined)('an implementation in Python (needs the package "cryptography")', () => {
  const key = KEYS.v1.toString('base64');
  const cases = VALUES.flatMap((value) => CONTEXTS.map((context) => ({ value, context })));

  it('opens what this package seals', () => {
    const requests = cases.flatMap(({ value, context }) => [
      { op: 'decrypt', form: 'v1', key, context, envelope: encryptCredentials(value as JsonInput, keyring) },
      { op: 'decrypt', form: 'v2', key, context, envelope: keyring.encrypt(value as JsonInput, { context }) },
    ]);
    const answers = askPython(python as string, requests);
    const expected = cases.flatMap(({ value }) => [value, value]);
    expect(answers.map((answer) => answer.value)).toEqual(expected);
  });

  it('seals what this package opens', () => {
    const requests = cases.flatMap(({ value, context }) => [
      { op: 'encrypt', form: 'v1', key, kid: 'v1', context, value },
      { op: 'encrypt', form: 'v2', key, kid: 'v1', context, value },
    ]);
    const opened = askPython(python as string, requests).map(({ envelope }, index) =>
      keyring.decrypt(envelope, { context: cases[index >> 1]?.context ?? {} }),
    );
    expect(opened).toEqual(cases.flatMap(({ value }) => [value, value]));
  });

  it('agrees on the bytes form, both ways', () => {
    const context = { tenant: 'acme', table: 'files' };
    const bytes = randomBytes(1000);
    const envelope = keyring.encryptBytes(bytes, { context }).toString('base64');
    const [opened, sealed, refused] = askPython(python as string, [
      { op: 'decrypt', form: 'v2-bytes', key, context, envelope },
      { op: 'encrypt', form: 'v2-bytes', key, kid: 'v1', context, value: bytes.toString('base64') },
      { op: 'decrypt', form: 'v2-bytes', key, context: { ...context, tenant: 'globex' }, envelope },
    ]);
    expect(opened?.value).toBe(bytes.toString('base64'));
    expect(keyring.decryptBytes(Buffer.from(String(sealed?.envelope), 'base64'), { context })).toEqual(bytes);
    expect(refused?.ok).toBe(false);
  });
});

describe('keys from the environment', () => {
  it('seal what an independent implementation opens under the same base64 key', () => {
    const fromEnv = keyringFromEnv({ env: { KEYWRIGHT_KEY: KEYS.v1.toString('base64') } });
    const envelope = fromEnv.encrypt({ a: 1 }, { context: { tenant: 'acme' } });
    expect(decryptV2(KEYS.v1, envelope, { tenant: 'acme' })).toEqual({ a: 1 });
  });
});
