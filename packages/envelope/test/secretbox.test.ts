import { randomBytes } from 'node:crypto';
import { createKeyring } from '@keywright/envelope';
import { loadLibsodium } from '@keywright/envelope/libsodium';
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js';
import sodium from 'libsodium-wrappers';
import { describe, expect, it } from 'vitest';
import { sealWith } from './interop/independent.ts';
import { CONTEXT, hex, KEYS, thrown } from './support.ts';

await sodium.ready;
const { secretbox } = await loadLibsodium();
const keyring = createKeyring({ keys: { v1: KEYS.v1 }, activeKid: 'v1', suite: secretbox });
const SALT = 16;
const COMMITMENT = 32;

/** Two programs that know nothing of this package. */
const BOXES = [
  {
    by: 'crypto_secretbox_easy of libsodium',
    seal: (text: Uint8Array, nonce: Uint8Array, key: Uint8Array) => sodium.crypto_secretbox_easy(text, nonce, key),
    open: (box: Uint8Array, nonce: Uint8Array, key: Uint8Array) => sodium.crypto_secretbox_open_easy(box, nonce, key),
  },
  {
    by: 'xsalsa20poly1305 of @noble/ciphers',
    seal: (text: Uint8Array, nonce: Uint8Array, key: Uint8Array) => xsalsa20poly1305(key, nonce).encrypt(text),
    open: (box: Uint8Array, nonce: Uint8Array, key: Uint8Array) => xsalsa20poly1305(key, nonce).decrypt(box),
  },
];

/** The message key that the specification gives for a salt. */
function derived(salt: Uint8Array, context: Readonly<Record<string, string>>) {
  const message = { suite: 'XS20P', key: KEYS.v1, kid: 'v1', type: 'bytes', context } as const;
  return sealWith(message, salt, new Uint8Array(24), new Uint8Array(0));
}

describe.each(BOXES)('an XS20P envelope and $by', ({ seal, open }) => {
  it.each([0, 1, 63, 64, 1000])('its ct after the commitment is that box (%i bytes)', (length) => {
    const plaintext = randomBytes(length);
    const envelope = keyring.encryptBytes(plaintext, { context: CONTEXT });
    const iv = envelope.subarray(7, 47);
    const ct = envelope.subarray(47);
    const { messageKey, commitment } = derived(iv.subarray(0, SALT), CONTEXT);
    expect(hex(ct.subarray(0, COMMITMENT))).toBe(hex(commitment));
    expect(hex(open(ct.subarray(COMMITMENT), iv.subarray(SALT), messageKey))).toBe(hex(plaintext));
    expect(hex(seal(plaintext, iv.subarray(SALT), messageKey))).toBe(hex(ct.subarray(COMMITMENT)));
  });

  it('a box that it made opens here, behind its commitment', () => {
    const [salt, nonce, plaintext] = [randomBytes(SALT), randomBytes(24), randomBytes(100)];
    const { messageKey, commitment } = derived(salt, CONTEXT);
    const header = Buffer.from([0x4b, 0x57, 2, 3, 2, ...Buffer.from('v1')]);
    const envelope = Buffer.concat([header, salt, nonce, commitment, seal(plaintext, nonce, messageKey)]);
    expect(hex(keyring.decryptBytes(envelope, { context: CONTEXT }))).toBe(hex(plaintext));
    const other = { ...CONTEXT, tenant: 'globex' };
    expect(thrown(() => keyring.decryptBytes(envelope, { context: other })).code).toBe('ERR_ENVELOPE_DECRYPT');
  });

  it('the key of the box is another one for every context', () => {
    const salt = randomBytes(SALT);
    const keys = [{}, CONTEXT, { ...CONTEXT, tenant: 'globex' }].map((context) =>
      hex(derived(salt, context).messageKey),
    );
    expect(new Set(keys).size).toBe(3);
    const box = seal(Buffer.from('x'), randomBytes(24), Buffer.from(keys[0] as string, 'hex'));
    expect(() => open(box, randomBytes(24), Buffer.from(keys[1] as string, 'hex'))).toThrow();
  });
});

it.each([{}, { ready: Promise.resolve() }, 'sodium', { ...sodium, crypto_secretbox_detached: undefined }])(
  'what is no libsodium is refused when it is given, not when it is used (%#)',
  async (given) => {
    await expect(loadLibsodium(given as never)).rejects.toMatchObject({ code: 'ERR_ENVELOPE_LIBSODIUM_MISSING' });
  },
);

it('libsodium that the application has loaded is used as well as the package of its own', async () => {
  const given = await loadLibsodium(sodium as never);
  const own = createKeyring({ keys: { v1: KEYS.v1 }, activeKid: 'v1', suite: given.secretbox });
  const token = own.encryptText('x', { context: CONTEXT });
  expect(keyring.decryptText(token, { context: CONTEXT })).toBe('x');
});
