import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';
import type { Sealed, Suite } from './suite.ts';

// Without authTagLength Node accepts truncated tags, down to 4 bytes.
const OPTIONS = { authTagLength: 16 } as const;

/**
 * AES-256-GCM (NIST SP 800-38D) by `node:crypto`. Keys are KeyObjects: they stay out of the JavaScript heap, and a
 * cipher made from one costs an eighth of a cipher made from bytes.
 */
export const A256GCM: Suite = {
  id: 'A256GCM',
  nonceLength: 12,
  tagLength: 16,

  seal(key: KeyObject, nonce: Uint8Array, associatedData: Uint8Array, plaintext: string | Uint8Array): Sealed {
    const cipher = createCipheriv('aes-256-gcm', key, nonce, OPTIONS);
    cipher.setAAD(associatedData);
    const ciphertext = typeof plaintext === 'string' ? cipher.update(plaintext, 'utf8') : cipher.update(plaintext);
    cipher.final();
    return { ciphertext, tag: cipher.getAuthTag() };
  },

  open(
    key: KeyObject,
    nonce: Uint8Array,
    associatedData: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
  ): Buffer | undefined {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, OPTIONS);
    decipher.setAAD(associatedData);
    decipher.setAuthTag(tag);
    const plaintext = decipher.update(ciphertext);
    try {
      decipher.final();
    } catch {
      plaintext.fill(0);
      return undefined;
    }
    return plaintext;
  },
};
