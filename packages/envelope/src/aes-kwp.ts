import { createCipheriv, createDecipheriv } from 'node:crypto';
import { EnvelopeError, KeyringError } from './errors.ts';
import { describe } from './keywright-error.ts';
import { isUint8Array } from './runtime/node.ts';

/** Alternative initial value (RFC 5649, 3); OpenSSL appends the length of the key. */
const INITIAL_VALUE = Buffer.from('a65959a6', 'hex');
const MAX_KEY_BYTES = 64 * 1024;

/**
 * Wraps a key under an AES key as RFC 5649 and SP 800-38F (KWP) have it: what backends take private keys in (BYOK).
 * Deterministic, and bound to no context: for a wrapping key that is used once. Anything else is an envelope's work.
 *
 * @param wrappingKey 16, 24 or 32 bytes
 * @param key 1 to 65,536 bytes; lent, neither kept nor changed
 * @returns 8 bytes more than `key`, filled up to a multiple of 8
 * @throws KeyringError `ERR_KEYRING_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { randomBytes } from 'node:crypto';
 * import { aesKwpUnwrap, aesKwpWrap } from '@keywright/envelope/aes-kwp';
 *
 * const wrappingKey = randomBytes(32);
 * const wrapped = aesKwpWrap(wrappingKey, Buffer.from('the private key as PKCS #8'));
 * aesKwpUnwrap(wrappingKey, wrapped); // its bytes
 * ```
 */
export function aesKwpWrap(wrappingKey: Uint8Array, key: Uint8Array): Uint8Array {
  const name = cipherOf(wrappingKey);
  if (!isUint8Array(key) || key.byteLength < 1 || key.byteLength > MAX_KEY_BYTES) {
    throw invalid('key', `1 to ${MAX_KEY_BYTES} bytes`, key);
  }
  const cipher = createCipheriv(name, wrappingKey, INITIAL_VALUE);
  // The whole of it comes at once: this mode has no final part.
  return cipher.update(key);
}

/**
 * The key that {@link aesKwpWrap} wrapped.
 *
 * @param wrappingKey 16, 24 or 32 bytes
 * @throws EnvelopeError `ERR_ENVELOPE_DECRYPT` for another wrapping key and for whatever is no wrapped key; KeyringError
 * `ERR_KEYRING_INVALID_ARGUMENT`
 */
export function aesKwpUnwrap(wrappingKey: Uint8Array, wrapped: Uint8Array): Uint8Array {
  const name = cipherOf(wrappingKey);
  if (!isUint8Array(wrapped)) throw invalid('wrapped', 'bytes', wrapped);
  const { byteLength } = wrapped;
  // OpenSSL answers an empty input with an empty key.
  if (byteLength < 16 || byteLength % 8 !== 0 || byteLength > MAX_KEY_BYTES + 8) throw refused();
  let key: Uint8Array;
  try {
    key = createDecipheriv(name, wrappingKey, INITIAL_VALUE).update(wrapped);
  } catch {
    throw refused();
  }
  if (key.byteLength === 0) throw refused();
  return key;
}

function cipherOf(wrappingKey: unknown): string {
  const length = isUint8Array(wrappingKey) ? wrappingKey.byteLength : 0;
  if (length === 16 || length === 24 || length === 32) return `id-aes${length * 8}-wrap-pad`;
  throw invalid('wrappingKey', '16, 24 or 32 bytes', wrappingKey);
}

function refused(): EnvelopeError {
  return new EnvelopeError('ERR_ENVELOPE_DECRYPT');
}

function invalid(argument: string, expected: string, received: unknown): KeyringError {
  return new KeyringError('ERR_KEYRING_INVALID_ARGUMENT', {
    context: { argument, expected, received: describe(received) },
  });
}
