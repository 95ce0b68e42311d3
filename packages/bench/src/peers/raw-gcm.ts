import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * AES-256-GCM by `node:crypto` on bytes, with nothing around it: a key object, a random nonce, and `nonce ‖ ciphertext ‖
 * tag` in one buffer, because a column holds one.
 */
export const rawGcm = {
  seal(key: KeyObject, plaintext: Uint8Array): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    const ciphertext = cipher.update(plaintext);
    cipher.final();
    return Buffer.concat([nonce, ciphertext, cipher.getAuthTag()]);
  },

  open(key: KeyObject, sealed: Buffer): Buffer {
    const tagAt = sealed.length - TAG_BYTES;
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES));
    decipher.setAuthTag(sealed.subarray(tagAt));
    const plaintext = decipher.update(sealed.subarray(NONCE_BYTES, tagAt));
    decipher.final();
    return plaintext;
  },
} as const;

/** There and back with ciphertext, nonce and tag left where they are: what the cipher takes, and nothing to store. */
export function rawRoundTrip(key: KeyObject, plaintext: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const ciphertext = cipher.update(plaintext);
  cipher.final();

  const decipher = createDecipheriv('aes-256-gcm', key, nonce);
  decipher.setAuthTag(cipher.getAuthTag());
  const opened = decipher.update(ciphertext);
  decipher.final();
  return opened;
}
