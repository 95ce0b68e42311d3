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
 */
export interface KeyWrapper {
  /** Kind of backend, recorded beside what it wrapped: `keyring`, `vault`, `aws-kms` … */
  readonly provider: string;
  /** Id of the key that {@link wrapKey} uses. */
  readonly activeKid: string;
  wrapKey(key: Uint8Array, options: WrapOptions): Promise<WrappedKey>;
  /** @throws KeyringError `ERR_KEYRING_KID_UNKNOWN`, EnvelopeError `ERR_ENVELOPE_DECRYPT` */
  unwrapKey(wrapped: WrappedKey, options: WrapOptions): Promise<Uint8Array>;
  /**
   * A value that only this key can make, to be stored. A backend without HMAC returns a wrapped canary, so two calls
   * need not agree: compare with {@link verifyCheckValue}.
   */
  checkValue(kid: string): Promise<Uint8Array>;
  /** Whether a stored check value is of the key that is held under `kid` now. */
  verifyCheckValue(kid: string, checkValue: Uint8Array): Promise<boolean>;
}
