import type { EncryptionContext } from './context.ts';

/** A key under another key. */
export interface WrappedKey {
  /** The wrapping key: what must still be held to unwrap. */
  readonly kid: string;
  /** Opaque to everyone but the wrapper that made it. */
  readonly wrapped: Uint8Array;
}

export interface WrapOptions {
  /** What the wrapped key is and where it lives; unwrapping asks for the very same. */
  readonly context: EncryptionContext;
  /** Abandons a remote call. */
  readonly signal?: AbortSignal;
}

/**
 * Holds a root key and wraps other keys under it. A {@link Keyring} is one in this process; a KMS or an HSM is one
 * whose root key never leaves. A backend without associated data wraps SHA-256(context) ‖ key and checks it.
 *
 * **Memory.** Each side owns what it allocated, and wipes only that. A key handed to {@link wrapKey} is lent until the
 * returned promise settles, also after an abort: the caller wipes it then, so a wrapper that needs it longer copies it.
 * What {@link unwrapKey} returns stays the wrapper's: the caller copies it as soon as the promise is fulfilled and neither
 * changes nor wipes it, so one answer may serve several calls that wait for the same key. A wrapper that wipes it later
 * must let every waiting caller run first.
 */
export interface KeyWrapper {
  /** Kind of backend, recorded beside what it wrapped: `keyring`, `vault`, `aws-kms` … */
  readonly provider: string;
  /** Id of the key that {@link wrapKey} uses. */
  readonly activeKid: string;
  /** The `kid` of the answer is the key that was really used, which is {@link activeKid} unless that changes meanwhile. */
  wrapKey(key: Uint8Array, options: WrapOptions): Promise<WrappedKey>;
  /**
   * The key as it was wrapped; never memory that was wiped since.
   * @throws KeyringError `ERR_KEYRING_KID_UNKNOWN`, EnvelopeError `ERR_ENVELOPE_DECRYPT`
   */
  unwrapKey(wrapped: WrappedKey, options: WrapOptions): Promise<Uint8Array>;
  /**
   * A value that only this key can make, to be stored. A backend without HMAC returns a wrapped canary, so two calls
   * need not agree: compare with {@link verifyCheckValue}.
   */
  checkValue(kid: string): Promise<Uint8Array>;
  /** Whether a stored check value is of the key that is held under `kid` now. */
  verifyCheckValue(kid: string, checkValue: Uint8Array): Promise<boolean>;
}
