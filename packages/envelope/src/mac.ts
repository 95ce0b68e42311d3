import { EnvelopeError } from './errors.ts';
import { isBytes } from './internal/bytes.ts';
import { pae } from './internal/pae.ts';
import { describe } from './keywright-error.ts';
import { hkdfSha512, hmacSha256, type SecretKey, secretKey, timingSafeEqual } from './runtime/node.ts';

const NO_SALT = new Uint8Array(0);

/** Well-formed strings and bytes: anything else has no one encoding, and two lists could share a MAC. */
export type MacParts = readonly (string | Uint8Array)[];

/**
 * Key for one purpose: `HKDF-SHA-512(key, no salt, info = PAE("keywright/mac", kid, purpose))`, 32 bytes. Encryption
 * never derives with this label, so a MAC key and a message key cannot meet.
 */
export function deriveMacKey(secret: SecretKey, kid: string, purpose: string): SecretKey {
  const bytes = hkdfSha512(secret, NO_SALT, pae(['keywright/mac', kid, purpose]), 32);
  const key = secretKey(bytes);
  bytes.fill(0);
  return key;
}

/** HMAC-SHA-256 of the PAE of `parts`. */
export function macOf(key: SecretKey, parts: MacParts): Buffer {
  return hmacSha256(key, pae(parts));
}

/** Compares in constant time; a mac of another length never matches. */
export function macMatches(expected: Uint8Array, actual: Uint8Array): boolean {
  return isBytes(actual) && expected.byteLength === actual.byteLength && timingSafeEqual(expected, actual);
}

/**
 * The parts as they were checked, each read once: `every` would pass over a hole of the caller's list.
 * @throws EnvelopeError `ERR_ENVELOPE_INVALID_VALUE`
 */
export function checkMacInput(purpose: unknown, parts: unknown): MacParts {
  const named = typeof purpose === 'string' && purpose.isWellFormed();
  const read: unknown[] | undefined = named && Array.isArray(parts) ? [...parts] : undefined;
  if (read?.every(hasOneEncoding)) return read;
  throw new EnvelopeError('ERR_ENVELOPE_INVALID_VALUE', {
    context: {
      argument: 'parts',
      expected: 'a purpose, and well-formed strings or Uint8Arrays',
      received: describe(parts),
    },
  });
}

function hasOneEncoding(part: unknown): part is string | Uint8Array {
  return typeof part === 'string' ? part.isWellFormed() : isBytes(part);
}
