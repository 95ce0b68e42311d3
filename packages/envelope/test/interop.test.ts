import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type JsonInput, keyringFromEnv } from '@keywright/envelope';
import { decryptCredentials, encryptCredentials } from '@keywright/envelope/compat';
import { requireOrSkip } from '@keywright/testkit';
import { describe, expect, it } from 'vitest';
import {
  type Context,
  decryptV1,
  decryptV2,
  decryptV2Bytes,
  decryptV2Text,
  encryptV1,
  encryptV2,
  encryptV2Bytes,
  encryptV2Text,
  type Json,
} from './interop/independent.ts';
import { askPython, findPython } from './interop/python.ts';
import { keyringOf, SUITES } from './suites.ts';
import { hex, KEYS, testKeyring } from './support.ts';

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
const TEXTS = VALUES.filter((value) => typeof value === 'string');
const LENGTHS = [0, 1, 15, 16, 17, 1000];
const CONTEXTS: readonly Context[] = [
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

describe.each(SUITES.map((suite) => ({ suite, by: `${suite.id} by ${suite.implementation}` })))(
  'v2 in $by',
  ({ suite }) => {
    const ours = keyringOf(KEYS, suite);

    describe.each(CONTEXTS.map((context) => ({ context })))('under $context', ({ context }) => {
      it.each(VALUES)('agrees with an implementation in pure JavaScript (%#)', (value) => {
        expect(ours.decrypt(encryptV2(KEYS.v1, 'v1', context, value, suite.id), { context })).toEqual(value);
        expect(decryptV2(KEYS.v1, ours.encrypt(value as JsonInput, { context }), context)).toEqual(value);
      });

      it('agrees on text', () => {
        for (const text of TEXTS) {
          expect(ours.decryptText(encryptV2Text(KEYS.v1, 'v1', context, text, suite.id), { context })).toBe(text);
          expect(decryptV2Text(KEYS.v1, ours.encryptText(text, { context }), context)).toBe(text);
        }
      });

      it('agrees on bytes', () => {
        for (const length of LENGTHS) {
          const bytes = randomBytes(length);
          const theirs = encryptV2Bytes(KEYS.v1, 'v1', context, bytes, suite.id);
          expect(hex(ours.decryptBytes(theirs, { context }))).toBe(hex(bytes));
          expect(hex(decryptV2Bytes(KEYS.v1, ours.encryptBytes(bytes, { context }), context))).toBe(hex(bytes));
        }
      });
    });
  },
);

const python = requireOrSkip('python', findPython(), 'Debian: python3-cryptography and python3-nacl.');

describe.skipIf(python === undefined)('an implementation in Python (needs "cryptography" and PyNaCl)', () => {
  const key = KEYS.v1.toString('base64');
  const cases = SUITES.flatMap((suite) =>
    CONTEXTS.map((context) => ({ context, suite, ours: keyringOf(KEYS, suite), at: { key, kid: 'v1', context } })),
  );
  const withEach = (values: readonly Json[]) =>
    cases.flatMap((one) => values.map((value) => Object.assign({ value }, one)));
  const [objects, texts, blobs] = [
    withEach(VALUES),
    withEach(TEXTS),
    withEach(LENGTHS.map((length) => base64(length))),
  ];

  it('opens what this package seals', () => {
    const requests = [
      ...objects.map(({ at, ours, value, context }) => {
        return { ...at, form: 'v2', envelope: ours.encrypt(value as JsonInput, { context }) };
      }),
      ...texts.map(({ at, ours, value, context }) => {
        return { ...at, form: 'v2-text', envelope: ours.encryptText(String(value), { context }) };
      }),
      ...blobs.map(({ at, ours, value, context }) => {
        const bytes = ours.encryptBytes(Buffer.from(String(value), 'base64'), { context });
        return { ...at, form: 'v2-bytes', envelope: bytes.toString('base64') };
      }),
      ...VALUES.map((value) => {
        return { key, form: 'v1', envelope: encryptCredentials(value as JsonInput, keyring) };
      }),
    ];
    const answers = askPython(
      python as string,
      requests.map((request) => Object.assign({ op: 'decrypt' }, request)),
    );
    const expected = [...objects, ...texts, ...blobs].map(({ value }) => value);
    expect(answers.map((answer) => answer.value)).toEqual([...expected, ...VALUES]);
  });

  it('seals what this package opens', () => {
    const ask = (form: string, all: typeof objects): unknown[] => {
      const requests = all.map(({ at, suite, value }) => ({ op: 'encrypt', ...at, form, suite: suite.id, value }));
      return askPython(python as string, requests).map(({ envelope }) => envelope);
    };
    const opened = ask('v2', objects).map((envelope, index) => open(objects, index, 'decrypt', envelope));
    expect(opened).toEqual(objects.map(({ value }) => value));
    const read = ask('v2-text', texts).map((token, index) => open(texts, index, 'decryptText', token));
    expect(read).toEqual(texts.map(({ value }) => value));
    const bytes = ask('v2-bytes', blobs).map((text, index) =>
      open(blobs, index, 'decryptBytes', Buffer.from(String(text), 'base64')),
    );
    expect(bytes.map((each) => (each as Buffer).toString('base64'))).toEqual(blobs.map(({ value }) => value));
    const v1 = askPython(
      python as string,
      VALUES.map((value) => ({ op: 'encrypt', form: 'v1', key, kid: 'v1', value })),
    );
    expect(v1.map(({ envelope }) => keyring.decrypt(envelope, { context: {} }))).toEqual(VALUES);
  });

  it('refuses what this package refuses: another context, another type, another suite', () => {
    const context = { tenant: 'acme' };
    const requests = SUITES.flatMap((suite) => {
      const ours = keyringOf(KEYS, suite);
      const object = ours.encrypt('x', { context });
      const token = ours.encryptText('x', { context });
      const renamed = suite.id === 'XC20P' ? 'XS20P' : 'XC20P';
      const opened = { op: 'decrypt', key, context };
      return [
        { ...opened, form: 'v2', context: { tenant: 'globex' }, envelope: object },
        { ...opened, form: 'v2-text', context: {}, envelope: token },
        { ...opened, form: 'v2', envelope: { ...object, alg: renamed } },
        { ...opened, form: 'v2-text', envelope: token.replace(suite.id, renamed) },
        { ...opened, form: 'v2-text', envelope: ['kw2', suite.id, 'v1', ...textParts(object)].join('.') },
      ];
    });
    expect(askPython(python as string, requests).map(({ ok }) => ok)).toEqual(requests.map(() => false));
  });

  function open(
    all: typeof objects,
    index: number,
    how: 'decrypt' | 'decryptText' | 'decryptBytes',
    envelope: unknown,
  ): unknown {
    const { ours, context } = all[index] as (typeof all)[number];
    return ours[how](envelope as never, { context });
  }

  function base64(length: number): string {
    return randomBytes(length).toString('base64');
  }

  function textParts({ iv, ct }: { readonly iv: string; readonly ct: string }): string[] {
    return [iv, ct].map((text) => Buffer.from(text, 'base64').toString('base64url'));
  }
});

describe('keys from the environment', () => {
  it('seal what an independent implementation opens under the same base64 key', () => {
    const fromEnv = keyringFromEnv({ env: { KEYWRIGHT_KEY: KEYS.v1.toString('base64') } });
    const envelope = fromEnv.encrypt({ a: 1 }, { context: { tenant: 'acme' } });
    expect(decryptV2(KEYS.v1, envelope, { tenant: 'acme' })).toEqual({ a: 1 });
  });
});
