import type { Suite } from '@keywright/envelope';
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js';

const TAG = 16;

/** XSalsa20-Poly1305 by @noble/ciphers: a second opinion on libsodium's secretbox. For tests. */
export const secretboxByNoble: Suite = {
  id: 'XS20P',
  implementation: '@noble/ciphers',
  importKey: (bytes) => {
    const key = Uint8Array.from(bytes);
    return {
      seal: (nonce, _associatedData, plaintext) => {
        const message = typeof plaintext === 'string' ? new TextEncoder().encode(plaintext) : plaintext;
        const sealed = xsalsa20poly1305(key, nonce).encrypt(message);
        return { tag: sealed.slice(0, TAG), ciphertext: sealed.slice(TAG) };
      },
      open: (nonce, _associatedData, ciphertext, tag) => {
        try {
          return xsalsa20poly1305(key, nonce).decrypt(Uint8Array.from([...tag, ...ciphertext]));
        } catch {
          return undefined;
        }
      },
    };
  },
};
