import type { KeyObject } from 'node:crypto';

/** Ciphertext and tag of one message. */
export interface Sealed {
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
}

/**
 * One AEAD. A suite knows nothing of keys' ids, contexts or formats: the format derives a key for the message, encodes
 * the context as associated data and lays out what comes back.
 */
export interface Suite {
  /** Name in an envelope's `alg` and in every derivation. */
  readonly id: string;
  readonly nonceLength: number;
  readonly tagLength: number;
  /** Encrypts bytes, or text as UTF-8. */
  seal(key: KeyObject, nonce: Uint8Array, associatedData: Uint8Array, plaintext: string | Uint8Array): Sealed;
  /** Returns the plaintext in memory of its own, or `undefined` if the tag does not verify. */
  open(
    key: KeyObject,
    nonce: Uint8Array,
    associatedData: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
  ): Buffer | undefined;
}
