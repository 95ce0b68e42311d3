import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import { checkNonce, haveLengthsOf, type Sealed, type Suite, type SuiteKey } from './suite.ts';

// Without authTagLength Node accepts truncated tags, down to 4 bytes.
const OPTIONS = { authTagLength: 16 } as const;

/** The key is a KeyObject: it stays out of the JavaScript heap, and a cipher made from one costs an eighth. */
class A256GcmKey implements SuiteKey {
  readonly #key: KeyObject;

  constructor(key: Uint8Array) {
    this.#key = createSecretKey(key);
  }

  seal(nonce: Uint8Array, associatedData: Uint8Array, plaintext: string | Uint8Array): Sealed {
    checkNonce('A256GCM', nonce);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce, OPTIONS);
    cipher.setAAD(associatedData);
    const ciphertext = typeof plaintext === 'string' ? cipher.update(plaintext, 'utf8') : cipher.update(plaintext);
    cipher.final();
    return { ciphertext, tag: cipher.getAuthTag() };
  }

  open(nonce: Uint8Array, associatedData: Uint8Array, ciphertext: Uint8Array, tag: Uint8Array): Uint8Array | undefined {
    if (!haveLengthsOf('A256GCM', nonce, tag)) return undefined;
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce, OPTIONS);
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
  }
}

/** AES-256-GCM (NIST SP 800-38D) by `node:crypto`: the default suite. */
export const A256GCM: Suite = {
  id: 'A256GCM',
  implementation: 'node:crypto',
  importKey: (key) => new A256GcmKey(key),
};
