import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto';

/** AES-256-GCM by `node:crypto` on bytes, there and back, with nothing around it: a key object and a random nonce. */
export function rawRoundTrip(key: KeyObject, plaintext: Uint8Array): Buffer {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const ciphertext = cipher.update(plaintext);
  cipher.final();

  const decipher = createDecipheriv('aes-256-gcm', key, nonce);
  decipher.setAuthTag(cipher.getAuthTag());
  const opened = decipher.update(ciphertext);
  decipher.final();
  return opened;
}
