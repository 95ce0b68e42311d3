import { EnvelopeError } from '../errors.ts';
import { isKeywrightError } from '../keywright-error.ts';
import type { Sealed, Suite, SuiteKey } from './suite.ts';

/** The part of libsodium-wrappers that is used; the package and its larger build `-sumo` both have it. */
export interface Sodium {
  readonly ready: Promise<void>;
  crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
    message: Uint8Array | string,
    associatedData: Uint8Array,
    secretNonce: null,
    nonce: Uint8Array,
    key: Uint8Array,
  ): { ciphertext: Uint8Array; mac: Uint8Array };
  crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
    secretNonce: null,
    ciphertext: Uint8Array,
    mac: Uint8Array,
    associatedData: Uint8Array,
    nonce: Uint8Array,
    key: Uint8Array,
  ): Uint8Array;
  crypto_secretbox_detached(
    message: Uint8Array | string,
    nonce: Uint8Array,
    key: Uint8Array,
  ): { cipher: Uint8Array; mac: Uint8Array };
  crypto_secretbox_open_detached(
    ciphertext: Uint8Array,
    mac: Uint8Array,
    nonce: Uint8Array,
    key: Uint8Array,
  ): Uint8Array;
}

const FUNCTIONS = [
  'crypto_aead_xchacha20poly1305_ietf_encrypt_detached',
  'crypto_aead_xchacha20poly1305_ietf_decrypt_detached',
  'crypto_secretbox_detached',
  'crypto_secretbox_open_detached',
] as const;

/** The suites that libsodium computes. */
export interface LibsodiumSuites {
  /** XChaCha20-Poly1305, the same as `@keywright/envelope/xchacha20-poly1305`, faster. */
  readonly xchacha20Poly1305: Suite;
  /** XSalsa20-Poly1305: a `ct` after its commitment is what `crypto_secretbox_easy` makes under the message key. */
  readonly secretbox: Suite;
}

/**
 * Loads libsodium and the suites it computes.
 *
 * @param sodium a libsodium that the application has loaded already. @default the package `libsodium-wrappers`
 * @throws EnvelopeError `ERR_ENVELOPE_LIBSODIUM_MISSING` where neither is there, or what was passed is none
 *
 * @example
 * ```ts
 * import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
 * import { loadLibsodium } from '@keywright/envelope/libsodium';
 *
 * const { secretbox } = await loadLibsodium();
 * const keyring = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1', suite: secretbox });
 * keyring.encrypt({ apiKey: 'sk_test_1' }, { context: { tenant: 'acme' } }); // { __enc: 2, alg: 'XS20P', … }
 * ```
 */
export async function loadLibsodium(sodium?: Sodium): Promise<LibsodiumSuites> {
  const library = sodium ?? (await importLibsodium());
  await library.ready;
  // Its functions are there once it is ready. What lacks one is told here, and not by the first message.
  if (!FUNCTIONS.every((name) => typeof library[name] === 'function')) {
    throw new EnvelopeError('ERR_ENVELOPE_LIBSODIUM_MISSING');
  }
  return { xchacha20Poly1305: xchacha20Poly1305(library), secretbox: secretbox(library) };
}

async function importLibsodium(): Promise<Sodium> {
  try {
    const module = await import('libsodium-wrappers');
    return module.default as unknown as Sodium;
  } catch (error) {
    if (isKeywrightError(error)) throw error;
    throw new EnvelopeError('ERR_ENVELOPE_LIBSODIUM_MISSING', { cause: error });
  }
}

function xchacha20Poly1305(sodium: Sodium): Suite {
  const importKey = (bytes: Uint8Array): SuiteKey => {
    const key = Uint8Array.from(bytes);
    return {
      seal(nonce, associatedData, plaintext): Sealed {
        const { ciphertext, mac } = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
          plaintext,
          associatedData,
          null,
          nonce,
          key,
        );
        return { ciphertext, tag: mac };
      },
      open: (nonce, associatedData, ciphertext, tag) =>
        verified(() =>
          sodium.crypto_aead_xchacha20poly1305_ietf_decrypt_detached(null, ciphertext, tag, associatedData, nonce, key),
        ),
    };
  };
  return { id: 'XC20P', implementation: 'libsodium', importKey };
}

function secretbox(sodium: Sodium): Suite {
  const importKey = (bytes: Uint8Array): SuiteKey => {
    const key = Uint8Array.from(bytes);
    return {
      seal(nonce, _associatedData, plaintext): Sealed {
        const { cipher, mac } = sodium.crypto_secretbox_detached(plaintext, nonce, key);
        return { ciphertext: cipher, tag: mac };
      },
      open: (nonce, _associatedData, ciphertext, tag) =>
        verified(() => sodium.crypto_secretbox_open_detached(ciphertext, tag, nonce, key)),
    };
  };
  return { id: 'XS20P', implementation: 'libsodium', importKey };
}

/** libsodium reports a tag that does not verify as an error. */
function verified(open: () => Uint8Array): Uint8Array | undefined {
  try {
    return open();
  } catch {
    return undefined;
  }
}
