import { inspectEnvelope, isEncrypted } from '@keywright/envelope';
import { describe, expect, it } from 'vitest';
import { sealWith } from './interop/independent.ts';
import { keyringOf, SUITES } from './suites.ts';
import { CONTEXT, hex, KEYS, testKeyring, thrown } from './support.ts';

const keyring = testKeyring();
const options = { context: CONTEXT };
const token = keyring.encryptText('x', options);
const [, , , iv = '', ct = ''] = token.split('.');
const NOT_ENCRYPTED = 'ERR_ENVELOPE_NOT_ENCRYPTED';
const UNSUPPORTED = 'ERR_ENVELOPE_UNSUPPORTED_VERSION';
const MALFORMED = 'ERR_ENVELOPE_MALFORMED';
const DECRYPT = 'ERR_ENVELOPE_DECRYPT';

/** Base64 far longer than any iv. */
const LONG = 'A'.repeat(2 ** 26);
/** Base64 of more than any plaintext may be; made where it is needed, because of its size. */
const huge = (): string => 'A'.repeat(360 * 2 ** 20);

describe('what is no text token', () => {
  it.each<[string, unknown, string]>([
    ['undefined', undefined, NOT_ENCRYPTED],
    ['null', null, NOT_ENCRYPTED],
    ['a number', 2, NOT_ENCRYPTED],
    ['a String object', Object(token), NOT_ENCRYPTED],
    ['an array of one token', [token], NOT_ENCRYPTED],
    ['what becomes a token', { toString: () => token }, NOT_ENCRYPTED],
    ['an object envelope', keyring.encrypt('x', options), NOT_ENCRYPTED],
    ['the bytes of a token', Buffer.from(token), NOT_ENCRYPTED],
    ['an empty text', '', NOT_ENCRYPTED],
    ['the marker alone', 'kw2', NOT_ENCRYPTED],
    ['a version that is no number', 'kwx.A', NOT_ENCRYPTED],
    ['a version of five digits', 'kw12345.A', NOT_ENCRYPTED],
    ['a byte order mark in front', `\ufeff${token}`, NOT_ENCRYPTED],
    ['digits of another script', token.replace('2', '\u0662'), NOT_ENCRYPTED],
    ['version 1', token.replace('kw2', 'kw1'), UNSUPPORTED],
    ['version 02', token.replace('kw2', 'kw02'), UNSUPPORTED],
    ['version 9999', 'kw9999.', UNSUPPORTED],
    ['a later suite', token.replace('A256GCM', 'A512GCM'), UNSUPPORTED],
    ['a suite that every object has as a member', token.replace('A256GCM', 'constructor'), MALFORMED],
    ['another member of every object as a suite', token.replace('A256GCM', '__proto__'), MALFORMED],
    ['a suite of 17 characters', token.replace('A256GCM', 'A'.repeat(17)), MALFORMED],
    ['dots only', 'kw2....', MALFORMED],
    ['a kid with a lone surrogate', token.replace('.v1.', '.\ud800.'), MALFORMED],
    ['a kid with a line end', token.replace('.v1.', '.v1\n.'), MALFORMED],
    ['a huge kid', token.replace('.v1.', `.${'v'.repeat(1e6)}.`), MALFORMED],
    ['a kid that every object has', token.replace('.v1.', '.constructor.'), 'ERR_KEYRING_KID_UNKNOWN'],
    ['a kid that every object has, another', token.replace('.v1.', '.__proto__.'), 'ERR_KEYRING_KID_UNKNOWN'],
    ['the beginning of a kid', token.replace('.v1.', '.v.'), 'ERR_KEYRING_KID_UNKNOWN'],
    ['a suite that was not given', token.replace('A256GCM', 'XS20P'), 'ERR_KEYRING_SUITE_MISSING'],
    ['a lone surrogate in the ct', `${token}\udc00`, DECRYPT],
    ['a zero byte in the ct', `${token}\u0000`, DECRYPT],
    ['iv and ct exchanged', ['kw2', 'A256GCM', 'v1', ct, iv].join('.'), DECRYPT],
    ['the token twice', token + token, DECRYPT],
    ['a long iv', ['kw2', 'A256GCM', 'v1', LONG, ct].join('.'), DECRYPT],
    ['a long ct', ['kw2', 'A256GCM', 'v1', iv, LONG].join('.'), DECRYPT],
  ])('%s is refused', (_what, input, code) => {
    const start = performance.now();
    expect(thrown(() => keyring.decryptText(input as never, options)).code).toBe(code);
    expect(performance.now() - start).toBeLessThan(2000);
    const form = /NOT_ENCRYPTED|UNSUPPORTED|MALFORMED/.test(code);
    if (form && typeof input === 'string') expect(thrown(() => inspectEnvelope(input)).code).toBe(code);
    if (!form) expect(inspectEnvelope(input)).toMatchObject({ version: 2, form: 'text' });
    if (typeof input === 'string') expect(isEncrypted(input)).toBe(false);
  });

  it('is never shown: no part of it gets into the error', () => {
    const planted = 'PLANTED0SECRET';
    const inputs = [
      planted,
      `kw2.${planted}.v1.a.b`,
      `kw2.A256GCM.${planted}..`,
      `kw3.${planted}`,
      `${token}.${planted}`,
    ];
    for (const input of inputs.map((each) => each.replace(`.${planted}..`, `.${planted}!.a.b`))) {
      const error = thrown(() => keyring.decryptText(input, options));
      expect(`${error.stack} ${JSON.stringify(error)}`).not.toContain(planted);
    }
  });

  it('is told apart from what is one', () => {
    expect(inspectEnvelope(token)).toEqual({ version: 2, form: 'text', suite: 'A256GCM', kid: 'v1' });
    for (const suite of SUITES) {
      const other = keyringOf(KEYS, suite).encryptText('x', options);
      expect(inspectEnvelope(other)).toEqual({ version: 2, form: 'text', suite: suite.id, kid: 'v1' });
    }
  });
});

describe('text that cannot be encrypted', () => {
  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a number', 7],
    ['bytes', Buffer.from('x')],
    ['a String object', Object('x')],
    ['a lone high surrogate', 'a\ud800'],
    ['a lone low surrogate', '\udc00a'],
  ])('%s is refused', (_what, value) => {
    expect(thrown(() => keyring.encryptText(value as never, options)).code).toBe('ERR_ENVELOPE_INVALID_VALUE');
  });
});

describe('depth and size', () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;

  it('a text of JSON 100,000 deep is a text like another', () => {
    expect(keyring.decryptText(keyring.encryptText(deep, options), options)).toBe(deep);
  });

  it('an object envelope with a member that is 100,000 deep is refused', () => {
    const envelope = { ...keyring.encrypt('x', options), ct: JSON.parse(deep) as never };
    expect(thrown(() => keyring.decrypt(envelope, options)).code).toBe(MALFORMED);
    expect(thrown(() => keyring.decrypt(JSON.parse(deep), options)).code).toBe(NOT_ENCRYPTED);
  });

  it('a plaintext of JSON 100,000 deep, made elsewhere, comes back or is refused by its code', () => {
    // Too deep for our own writer on most stacks, so sealed as what it is: JSON text under the type of JSON.
    const outcome = ((): string => {
      try {
        return typeof keyring.decrypt(sealedJson(deep), options);
      } catch (error) {
        return (error as { code: string }).code;
      }
    })();
    expect(['object', DECRYPT]).toContain(outcome);
  });

  it('an iv or ct far longer than any message is refused at once, in every form', () => {
    const envelope = keyring.encrypt('x', options);
    for (const changed of [{ iv: LONG }, { ct: LONG }, { ct: huge() }]) {
      const start = performance.now();
      expect(thrown(() => keyring.decrypt({ ...envelope, ...changed }, options)).code).toBe(DECRYPT);
      expect(performance.now() - start).toBeLessThan(3000);
    }
    expect(thrown(() => keyring.decryptText(`${token}${huge()}`, options)).code).toBe(DECRYPT);
  });

  it('more than 256 MiB as UTF-8 is refused before it is encrypted', () => {
    const text = '\u0800'.repeat(86 * 2 ** 20);
    expect(thrown(() => keyring.encryptText(text, options)).code).toBe('ERR_ENVELOPE_INVALID_VALUE');
  });

  it('a mebibyte goes through every suite in every form', () => {
    const text = 'é'.repeat(2 ** 19);
    for (const suite of SUITES) {
      const own = keyringOf(KEYS, suite);
      expect(own.decryptText(own.encryptText(text, options), options) === text).toBe(true);
      expect(own.decrypt(own.encrypt(text, options), options) === text).toBe(true);
      const bytes = own.decryptBytes(own.encryptBytes(Buffer.from(text), options), options);
      expect(hex(bytes) === Buffer.from(text).toString('hex')).toBe(true);
    }
  });
});

/** An object envelope of a text that is taken for JSON, whatever it is. */
function sealedJson(json: string): object {
  const message = { suite: 'A256GCM', key: KEYS.v1, kid: 'v1', type: 'json', context: CONTEXT } as const;
  const made = sealWith(message, Buffer.alloc(16), Buffer.alloc(12), Buffer.from(json));
  const [sealedIv, sealedCt] = [made.iv, made.ct].map((bytes) => Buffer.from(bytes).toString('base64'));
  return { __enc: 2, kid: 'v1', iv: sealedIv, ct: sealedCt };
}
