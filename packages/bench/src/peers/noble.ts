import { randomBytes } from 'node:crypto';
import { gcm } from '@noble/ciphers/aes.js';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { type Codecs, contextBytes, type Peer, versionOf } from './peer.ts';

type Aead = (
  key: Uint8Array,
  nonce: Uint8Array,
  associatedData: Uint8Array,
) => { encrypt(plaintext: Uint8Array): Uint8Array; decrypt(ciphertext: Uint8Array): Uint8Array };

const less = 'the context as associated data, nonce in front. The AEAD alone: names no key, committed to no key.';

/** AES-256-GCM in JavaScript. */
export const nobleGcm: Peer = {
  name: '@noble/ciphers, AES-GCM',
  version: versionOf('@noble/ciphers'),
  forms: ['bytes'],
  level: 'aead',
  binds: true,
  about: `\`gcm\`, ${less}`,
  load: (key) => codecs(gcm, 12, key),
};

/** XChaCha20-Poly1305 in JavaScript: the faster one of a runtime without AES. */
export const nobleXChaCha: Peer = {
  name: '@noble/ciphers, XChaCha20',
  version: versionOf('@noble/ciphers'),
  forms: ['bytes'],
  level: 'aead',
  binds: true,
  about: `\`xchacha20poly1305\`, ${less}`,
  load: (key) => codecs(xchacha20poly1305, 24, key),
};

function codecs(aead: Aead, nonceLength: number, secret: Buffer): Codecs {
  const key = Uint8Array.from(secret);
  return {
    bytes: {
      seal(plaintext, context) {
        const nonce = randomBytes(nonceLength);
        return Buffer.concat([nonce, aead(key, nonce, contextBytes(context)).encrypt(plaintext)]);
      },
      open: (sealed: Buffer, context) =>
        aead(key, sealed.subarray(0, nonceLength), contextBytes(context)).decrypt(sealed.subarray(nonceLength)),
    },
  };
}
