import crypto from 'node:crypto';
import { createKeyring } from '@keywright/envelope';
import { loadKeyring, makePassphraseParameters, passphraseSource } from '@keywright/envelope/sources';
import { argon2id } from '@noble/hashes/argon2.js';
import { describe, expect, it } from 'vitest';
import { keySourceConformance, type PreparedKeySource } from '../../src/conformance/key-source.ts';
import { argon2idPortable, deriveKey, type KdfCosts } from '../../src/sources/kdf.ts';
import { rejection, shown } from './support.ts';

const PASSPHRASE = 'canary battery horse';
const SALT = Buffer.from('0123456789abcdef');
const SALT_TEXT = SALT.toString('base64').replace(/=+$/, '');
/** The least that is taken: these tests derive often. */
const CHEAP = { algorithm: 'argon2id', memoryKib: 19_456, passes: 2, parallelism: 1 } as const;

const derived = 'derives its key and stores none';
const local = 'computes, and asks nobody';

keySourceConformance('passphrase', {
  impossible: {
    rotation: derived,
    'wrong-length': derived,
    malformed: derived,
    'duplicate-kid': derived,
    'not-found': local,
    denied: 'a wrong passphrase is; see below',
    unreachable: local,
    oversized: local,
  },
  async prepare(condition, _content, timeoutMs): Promise<PreparedKeySource> {
    const never = new Promise<string>(() => undefined);
    const parameters = `$argon2id$v=19$m=19456,t=2,p=1$${SALT_TEXT}`;
    const source = passphraseSource(condition === 'silent' ? () => never : PASSPHRASE, parameters, { timeoutMs });
    const key = argon2id(PASSPHRASE, SALT, { m: 19_456, t: 2, p: 1, dkLen: 32 });
    return { source, secrets: [PASSPHRASE], expected: { keys: { v1: key }, activeKid: 'v1' } };
  },
});

describe('a key from a passphrase', () => {
  it.each<[string, string, string, KdfCosts, string]>([
    // https://github.com/P-H-C/phc-winner-argon2/blob/master/src/test.c
    [
      'argon2id',
      'password',
      'somesalt',
      { algorithm: 'argon2id', memoryKib: 256, passes: 2, parallelism: 1 },
      '9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe',
    ],
    [
      'argon2id',
      'password',
      'somesalt',
      { algorithm: 'argon2id', memoryKib: 65_536, passes: 2, parallelism: 1 },
      '09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7',
    ],
    // RFC 7914, section 12, the first 32 of 64 bytes: the last step is PBKDF2, whose blocks have 32
    [
      'scrypt',
      'password',
      'NaCl',
      { algorithm: 'scrypt', logN: 10, blockSize: 8, parallelism: 16 },
      'fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162',
    ],
    [
      'scrypt',
      'pleaseletmein',
      'SodiumChloride',
      { algorithm: 'scrypt', logN: 14, blockSize: 8, parallelism: 1 },
      '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2',
    ],
    // RFC 7914, section 11, likewise
    [
      'pbkdf2-sha256',
      'Password',
      'NaCl',
      { algorithm: 'pbkdf2-sha256', iterations: 80_000 },
      '4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56',
    ],
  ])('is that of the published vector: %s of "%s"', async (_name, passphrase, salt, costs, expected) => {
    expect(Buffer.from(await deriveKey(passphrase, Buffer.from(salt), costs)).toString('hex')).toBe(expected);
  });

  it('by Argon2id is the same from node:crypto and from @noble/hashes', async () => {
    expect(crypto.argon2, 'run these tests on Node 24.7 or later').toBeTypeOf('function');
    const key = await deriveKey(PASSPHRASE, SALT, CHEAP);
    const portable = await argon2idPortable(PASSPHRASE, SALT, CHEAP);
    expect(Buffer.from(portable)).toEqual(Buffer.from(key));
  });

  it('by Argon2id stands on libraries that agree with RFC 9106, section 5.3', () => {
    const [password, salt] = [Buffer.alloc(32, 1), Buffer.alloc(16, 2)];
    const [secret, data] = [Buffer.alloc(8, 3), Buffer.alloc(12, 4)];
    const tag = '0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659';
    const noble = argon2id(password, salt, { m: 32, t: 3, p: 4, dkLen: 32, key: secret, personalization: data });
    expect(Buffer.from(noble).toString('hex')).toBe(tag);
    const costs = { memory: 32, passes: 3, parallelism: 4, tagLength: 32 };
    const parameters = { ...costs, message: password, nonce: salt, secret, associatedData: data };
    expect(crypto.argon2Sync('argon2id', parameters).toString('hex')).toBe(tag);
  });

  it('without node:crypto lets the main thread breathe, and ends when it is told to', async () => {
    const stop = new AbortController();
    let ticks = 0;
    const clock = setInterval(() => ticks++ === 2 && stop.abort(), 1);
    const error = await rejection(argon2idPortable(PASSPHRASE, SALT, { ...CHEAP, passes: 16 }, stop.signal));
    clearInterval(clock);
    expect(error.name).toBe('AbortError');
    expect(ticks).toBeGreaterThan(2);
  });

  it.each<[string, KdfCosts | undefined, RegExp]>([
    ['Argon2id unless told otherwise', undefined, /^\$argon2id\$v=19\$m=65536,t=3,p=4\$[\w+/]{22}\$[\w+/]{11}$/],
    ['scrypt', { algorithm: 'scrypt', logN: 15, blockSize: 8, parallelism: 3 }, /^\$scrypt\$ln=15,r=8,p=3\$/],
    ['PBKDF2', { algorithm: 'pbkdf2-sha256', iterations: 600_000 }, /^\$pbkdf2-sha256\$i=600000\$/],
  ])('keeps its salt, costs and check value in a string: %s', async (_name, costs, form) => {
    const parameters = await makePassphraseParameters(PASSPHRASE, costs);
    expect(parameters).toMatch(form);
    const keyring = await loadKeyring(passphraseSource(PASSPHRASE, parameters, { kid: 'pass' }));
    const check = Buffer.from(await keyring.checkValue('pass'))
      .toString('base64')
      .replace(/=+$/, '');
    expect(parameters.split('$').at(-1)).toBe(check); // that of the keyring itself
    const error = await rejection(passphraseSource(`${PASSPHRASE}.`, parameters).load());
    expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_WRONG_PASSPHRASE', retryable: false });
    expect(shown(error)).not.toContain('canary');
  });

  it('has a salt of its own each time', async () => {
    const [one, two] = [
      await makePassphraseParameters(PASSPHRASE, CHEAP),
      await makePassphraseParameters(PASSPHRASE, CHEAP),
    ];
    expect(one).not.toBe(two);
  });

  it('is the same for both Unicode spellings of a passphrase', async () => {
    const parameters = await makePassphraseParameters('pässwörter sind gut'.normalize('NFC'), CHEAP);
    expect((await passphraseSource('pässwörter sind gut'.normalize('NFD'), parameters).load()).activeKid).toBe('v1');
  });

  it('is the key of other software that uses the same parameters', async () => {
    const bytes = crypto.pbkdf2Sync(PASSPHRASE, SALT, 600_000, 32, 'sha256');
    const keyring = createKeyring({ keys: { v1: bytes }, activeKid: 'v1' });
    const other = await loadKeyring(passphraseSource(async () => PASSPHRASE, `$pbkdf2-sha256$i=600000$${SALT_TEXT}`));
    const envelope = keyring.encrypt('x', { context: { a: 'b' } });
    expect(other.decrypt(envelope, { context: { a: 'b' } })).toBe('x');
  });

  it.each([
    ['a memory that is too small', `$argon2id$v=19$m=19455,t=2,p=1$${SALT_TEXT}`],
    ['a memory that is too large', `$argon2id$v=19$m=1048577,t=2,p=1$${SALT_TEXT}`],
    ['too few passes', `$argon2id$v=19$m=65536,t=1,p=1$${SALT_TEXT}`],
    ['too many passes', `$argon2id$v=19$m=65536,t=17,p=1$${SALT_TEXT}`],
    ['an old version', `$argon2id$v=16$m=65536,t=3,p=1$${SALT_TEXT}`],
    ['Argon2i', `$argon2i$v=19$m=65536,t=3,p=1$${SALT_TEXT}`],
    ['a cost twice', `$argon2id$v=19$m=65536,t=3,t=3$${SALT_TEXT}`],
    ['a cost too many', `$argon2id$v=19$m=65536,t=3,p=1,x=1$${SALT_TEXT}`],
    ['no costs', `$argon2id$v=19$${SALT_TEXT}`],
    ['an N that is too small', `$scrypt$ln=14,r=8,p=16$${SALT_TEXT}`],
    ['an N that is small, without more lanes', `$scrypt$ln=15,r=8,p=2$${SALT_TEXT}`],
    ['an N that is too large', `$scrypt$ln=21,r=8,p=1$${SALT_TEXT}`],
    ['blocks that are too small', `$scrypt$ln=17,r=1,p=1$${SALT_TEXT}`],
    ['too few iterations', `$pbkdf2-sha256$i=599999$${SALT_TEXT}`],
    ['too many iterations', `$pbkdf2-sha256$i=10000001$${SALT_TEXT}`],
    ['another hash', `$pbkdf2-sha1$i=1000000$${SALT_TEXT}`],
    ['a salt that is too short', '$argon2id$v=19$m=65536,t=3,p=1$MDEyMzQ1Njc4OWFiY2Rl'],
    ['a salt that is not canonical', `$argon2id$v=19$m=65536,t=3,p=1$${SALT_TEXT.slice(0, -1)}h`],
    [
      'the hash of a password instead of a check value',
      `$argon2id$v=19$m=65536,t=3,p=1$${SALT_TEXT}$${'A'.repeat(43)}`,
    ],
    ['nothing', ''],
    ['a number', 7],
  ])('is refused for parameters with %s', (_what, parameters) => {
    expect(() => passphraseSource(PASSPHRASE, parameters as string)).toThrow(
      expect.objectContaining({
        code: 'ERR_KEY_SOURCE_CONFIG',
        context: expect.objectContaining({ driver: 'passphrase' }),
      }),
    );
  });

  it.each([
    ['short', 'canary'],
    ['empty', ''],
    ['long', 'x'.repeat(1025)],
    ['lone surrogate', '\ud800 canary battery'],
    ['number', 7],
  ])('is refused for a passphrase that is: %s', async (_what, passphrase) => {
    const parameters = `$argon2id$v=19$m=19456,t=2,p=1$${SALT_TEXT}`;
    const code = 'ERR_KEY_SOURCE_CONFIG';
    expect(() => passphraseSource(passphrase as string, parameters)).toThrow(expect.objectContaining({ code }));
    const error = await rejection(passphraseSource(() => passphrase as string, parameters).load());
    expect(error.code).toBe(code);
    expect(shown(error)).not.toContain('canary');
  });
});
