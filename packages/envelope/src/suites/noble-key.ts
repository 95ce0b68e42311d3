import { checkNonce, haveLengthsOf, type Sealed, type SuiteId, type SuiteKey, TAG_BYTES } from './suite.ts';

/** What every AEAD of @noble/ciphers is: `ciphertext ‖ tag`, and an error where the tag does not verify. */
export type NobleAead = (
  key: Uint8Array,
  nonce: Uint8Array,
  associatedData?: Uint8Array,
) => { encrypt(plaintext: Uint8Array): Uint8Array; decrypt(ciphertext: Uint8Array): Uint8Array };

const encoder = new TextEncoder();

/** A message key whose AEAD is computed in JavaScript. */
export class NobleKey implements SuiteKey {
  readonly #suite: SuiteId;
  readonly #aead: NobleAead;
  readonly #key: Uint8Array;

  constructor(suite: SuiteId, aead: NobleAead, key: Uint8Array) {
    this.#suite = suite;
    this.#aead = aead;
    this.#key = Uint8Array.from(key);
  }

  seal(nonce: Uint8Array, associatedData: Uint8Array, plaintext: string | Uint8Array): Sealed {
    checkNonce(this.#suite, nonce);
    const bytes = typeof plaintext === 'string' ? encoder.encode(plaintext) : plaintext;
    const sealed = this.#aead(this.#key, nonce, associatedData).encrypt(bytes);
    if (bytes !== plaintext) bytes.fill(0);
    const tagAt = sealed.length - TAG_BYTES;
    return { ciphertext: sealed.subarray(0, tagAt), tag: sealed.subarray(tagAt) };
  }

  open(nonce: Uint8Array, associatedData: Uint8Array, ciphertext: Uint8Array, tag: Uint8Array): Uint8Array | undefined {
    if (!haveLengthsOf(this.#suite, nonce, tag)) return undefined;
    const sealed = new Uint8Array(ciphertext.length + TAG_BYTES);
    sealed.set(ciphertext, 0);
    sealed.set(tag, ciphertext.length);
    try {
      return this.#aead(this.#key, nonce, associatedData).decrypt(sealed);
    } catch {
      return undefined;
    }
  }
}
