/** Name of a suite: an envelope's `alg`, and a part of every derivation. */
export type SuiteId = 'A256GCM' | 'XC20P' | 'XS20P';

/** Ciphertext and tag of one message. */
export interface Sealed {
  readonly ciphertext: Uint8Array;
  readonly tag: Uint8Array;
}

/** One message key, ready to use. */
export interface SuiteKey {
  /**
   * Encrypts bytes, or text as UTF-8, into memory that is the caller's to give back. Never call it twice with one nonce.
   * @throws for a nonce that is not as long as the suite's
   */
  seal(nonce: Uint8Array, associatedData: Uint8Array, plaintext: string | Uint8Array): Sealed;
  /**
   * Returns the plaintext in memory of its own, or `undefined` if the tag does not verify: also for a nonce or a tag that
   * is not as long as the suite's, cut short though it may be.
   */
  open(nonce: Uint8Array, associatedData: Uint8Array, ciphertext: Uint8Array, tag: Uint8Array): Uint8Array | undefined;
}

/**
 * One implementation of an AEAD. A suite knows nothing of key ids, contexts or formats: the format derives a key for the
 * message, encodes the context and lays out what comes back. {@link SUITES} says how.
 */
export interface Suite {
  readonly id: SuiteId;
  /** What computes it, for people: `node:crypto`, `@noble/ciphers`, `libsodium`. */
  readonly implementation: string;
  /** @param key 32 bytes, copied: the caller wipes its own */
  importKey(key: Uint8Array): SuiteKey;
}

/** How a suite stands in an envelope. */
export interface SuiteLayout {
  /** The byte that names it in the bytes form. */
  readonly code: number;
  readonly nonceLength: number;
  /** Where the tag is in `ct`: XSalsa20-Poly1305 has it in front, as `crypto_secretbox_easy` does. */
  readonly tag: 'before' | 'after';
  /** What carries the context: associated data, or the derivation of the message key where the AEAD has none. */
  readonly contextIn: 'associated-data' | 'key';
}

export const TAG_BYTES = 16;

/** One row knows the suite; nothing below branches on its name. */
export const SUITES: Readonly<Record<SuiteId, SuiteLayout>> = {
  A256GCM: { code: 1, nonceLength: 12, tag: 'after', contextIn: 'associated-data' },
  XC20P: { code: 2, nonceLength: 24, tag: 'after', contextIn: 'associated-data' },
  XS20P: { code: 3, nonceLength: 24, tag: 'before', contextIn: 'key' },
};

const BY_CODE = new Map(Object.entries(SUITES).map(([id, { code }]) => [code, id as SuiteId]));

/**
 * Precondition: an AEAD takes nonces of one length only. Libraries take others too, and derive something from them.
 * @throws RangeError where the format has made a mistake
 */
export function checkNonce(id: SuiteId, nonce: Uint8Array): void {
  if (nonce.length !== SUITES[id].nonceLength)
    throw new RangeError('The nonce has another length than its suite says.');
}

/** Whether nonce and tag have the lengths of the suite. */
export function haveLengthsOf(id: SuiteId, nonce: Uint8Array, tag: Uint8Array): boolean {
  return nonce.length === SUITES[id].nonceLength && tag.length === TAG_BYTES;
}

/** The suite that a byte names. */
export function suiteOfCode(code: number): SuiteId | undefined {
  return BY_CODE.get(code);
}

export function isSuiteId(id: unknown): id is SuiteId {
  return typeof id === 'string' && Object.hasOwn(SUITES, id);
}
