import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { createEd25519Signer, generateAuditSigner, openSignedCheckpoint, verifierKey } from '@keywright/secrets/audit';
import { describe, expect, it } from 'vitest';
import { noteOf, openNote, parseVerifierKey } from '../../src/audit/note.ts';

// The example of golang.org/x/mod/sumdb/note (BSD-3-Clause): its key, the notes that it signs.
const PETER = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const SEED = 'AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz';
const TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const NOTE = `${TEXT}
— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
`;

describe('a signed note', () => {
  it('of Go’s sumdb is read, and refused when one character is another', () => {
    const key = parseVerifierKey(PETER, 'key');
    expect([key.name, key.id]).toEqual(['PeterNeumann', 'c74f20a3']);
    expect(openNote(NOTE, [key])).toMatchObject({ valid: true, text: TEXT });
    expect(openNote(NOTE.replace('your problem', 'any problem'), [key])).toEqual({ valid: false, reason: 'signature' });
    expect(openNote(NOTE, [])).toEqual({ valid: false, reason: 'unknown-key' });
  });

  it('is the one that Go makes, byte for byte', async () => {
    const privateKey = Buffer.from(SEED, 'base64').subarray(1);
    const signer = createEd25519Signer({ name: 'PeterNeumann', privateKey });
    const signature = await signer.sign(Buffer.from(TEXT), { signal: new AbortController().signal });
    expect(noteOf(TEXT, signer.name, signer.publicKey, signature)).toBe(NOTE);
    expect(verifierKey(signer)).toBe(PETER);
  });

  it.each([
    ['no signature', TEXT],
    ['no blank line', NOTE.replace('\n\n', '\n')],
    ['no last newline', NOTE.trimEnd()],
    ['a hyphen for the dash', NOTE.replace('— Peter', '- Peter')],
    ['two spaces', NOTE.replace('— Peter', '—  Peter')],
    ['a control character', NOTE.replace('If', '\tIf')],
    ['a lone surrogate', NOTE.replace('If', '\ud800')],
    ['base64 with other bits', NOTE.replace('JnAM=', 'JnAN=')],
    ['a short signature', NOTE.replace(/x08go.*/, 'x08gow==')],
    [
      '101 signatures',
      `${NOTE}${NOTE.split('\n').at(-2)}\n`.padEnd(1, '') + `${NOTE.split('\n').at(-2)}\n`.repeat(100),
    ],
  ])('is malformed with %s', (_what, note) => {
    expect(openNote(note, [parseVerifierKey(PETER, 'key')])).toEqual({ valid: false, reason: 'malformed' });
  });

  it('may carry signatures of others, and one bad one of a known key spoils it', () => {
    const key = parseVerifierKey(PETER, 'key');
    const other = generateAuditSigner('EnochRoot');
    const line = noteOf('x\n', other.signer.name, other.signer.publicKey, new Uint8Array(64)).split('\n').at(-2);
    const signed = NOTE.replace('— Peter', `${line}\n— Peter`);
    expect(openNote(signed, [key])).toMatchObject({ valid: true });
    for (const note of [signed, `${NOTE}${line}\n`]) {
      expect(openNote(note, [key, parseVerifierKey(other.verifierKey, 'key')])).toEqual({
        valid: false,
        reason: 'signature',
      });
    }
  });

  it.each([
    '',
    'PeterNeumann',
    PETER.replace('c74f20a3', 'c74f20a4'),
    PETER.replace('Peter', 'Paul'),
    PETER.slice(0, -4),
    PETER.replace('+AR', '+BR'),
    7,
  ])('takes no verifier key that is %j', (text) => {
    expect(() => parseVerifierKey(text, 'key')).toThrow(
      expect.objectContaining({ code: 'ERR_SECRETS_INVALID_ARGUMENT' }),
    );
  });
});

describe('a checkpoint', () => {
  const { signer, verifierKey: key } = generateAuditSigner('example.com/audit');
  const root = Buffer.alloc(32, 7).toString('base64');
  const signed = async (text: string): Promise<string> => {
    const signature = await signer.sign(Buffer.from(text), { signal: new AbortController().signal });
    return noteOf(text, signer.name, signer.publicKey, signature);
  };

  it('says whose log it is, how long, and its root', async () => {
    const note = await signed(`example.com/audit\n20852163\n${root}\n`);
    expect(openSignedCheckpoint(note, key)).toEqual({
      valid: true,
      checkpoint: { origin: 'example.com/audit', treeSize: 20_852_163, rootHash: root, note },
    });
    expect((await openSignedCheckpoint(await signed(`example.com/audit\n1\n${root}\nextension\n`), key)).valid).toBe(
      true,
    );
  });

  it('may be signed by a witness before its own log', async () => {
    const witness = generateAuditSigner('example.com/witness');
    const text = `example.com/audit\n1\n${root}\n`;
    const signature = await witness.signer.sign(Buffer.from(text), { signal: new AbortController().signal });
    const line = noteOf(text, witness.signer.name, witness.signer.publicKey, signature).split('\n').at(-2);
    const note = (await signed(text)).replace('\n\n', `\n\n${line}\n`);
    expect(openSignedCheckpoint(note, [witness.verifierKey, key])).toMatchObject({ valid: true });
    expect(openSignedCheckpoint(note, witness.verifierKey)).toEqual({ valid: false, reason: 'unknown-key' });
  });

  it.each([
    ['a leading zero', `example.com/audit\n01\n${root}\n`, 'malformed'],
    ['a negative size', `example.com/audit\n-1\n${root}\n`, 'malformed'],
    ['a size beyond numbers', `example.com/audit\n9999999999999999\n${root}\n`, 'malformed'],
    ['a short root', 'example.com/audit\n1\nAAAA\n', 'malformed'],
    ['no root', 'example.com/audit\n1\n', 'malformed'],
    ['another origin', `example.com/other\n1\n${root}\n`, 'unknown-key'],
  ])('is refused with %s', async (_what, text, reason) => {
    expect(openSignedCheckpoint(await signed(text), key)).toEqual({ valid: false, reason });
  });
});

describe('a signer', () => {
  it('is the same from PEM, from its seed and from a KeyObject', () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
    const seed = Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url');
    const keys = [pem, seed, privateKey].map((key) => verifierKey(createEd25519Signer({ name: 'a', privateKey: key })));
    expect(new Set(keys).size).toBe(1);
    expect(createPublicKey(privateKey).export({ format: 'jwk' }).x).toBe(
      Buffer.from(createEd25519Signer({ name: 'a', privateKey }).publicKey).toString('base64url'),
    );
  });

  const { privateKey } = generateKeyPairSync('ed25519');
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  it.each([
    ['a name with a space', { name: 'a b', privateKey }],
    ['a name with a plus', { name: 'a+b', privateKey }],
    ['no name', { name: '', privateKey }],
    ['no key', { name: 'a' }],
    ['a public key', { name: 'a', privateKey: createPublicKey(privateKey) }],
    ['an RSA key', { name: 'a', privateKey: rsa.privateKey }],
    ['31 bytes', { name: 'a', privateKey: new Uint8Array(31) }],
    ['text', { name: 'a', privateKey: 'sk_live_canary' }],
  ])('is refused with %s, and shows none of it', (_what, options) => {
    let error: unknown;
    try {
      createEd25519Signer(options as never);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'ERR_SECRETS_INVALID_ARGUMENT' });
    expect(JSON.stringify(error) + String((error as Error).stack)).not.toContain('canary');
  });
});
