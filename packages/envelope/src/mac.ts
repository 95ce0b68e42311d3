import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto';
import { EnvelopeError } from './errors.ts';
import { isBytes } from './internal/bytes.ts';
import { pae } from './internal/pae.ts';
import { describe } from './keywright-error.ts';

const NO_SALT = new Uint8Array(0);

/** Well-formed strings and bytes: anything else has no one encoding, and two lists could share a MAC. */
export type MacParts = readonly (string | Uint8Array)[];

/**
 * Key for one purpose: `HKDF-SHA-512(key, no salt, info = PAE("keywright/mac", kid, purpose))`, 32 bytes. Encryption
 * never derives with this label, so a MAC key and a message key cannot meet.
 */
export function deriveMacKey(secret: KeyObject, kid: string, purpose: string): KeyObject {
  const bytes = Buffer.from(hkdfSync('sha512', secret, NO_SALT, pae(['keywright/mac', kid, purpose]), 32));
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return key;
}

/** HMAC-SHA-256 of the PAE of `parts`. */
export function macOf(key: KeyObject, parts: MacParts): Buffer {
  return createHmac('sha256', key).update(pae(parts)).digest();
}

/** Compares in constant time; a mac of another length never matches. */
export function macMatches(expected: Uint8Array, actual: Uint8Array): boolean {
  return isBytes(actual) && expected.byteLength === actual.byteLength && timingSafeEqual(expected, actual);
}

/** @throws EnvelopeError `ERR_ENVELOPE_INVALID_VALUE` */
export function checkMacInput(purpose: unknown, parts: unknown): void {
  const named = typeof purpose === 'string' && purpose.isWellFormed();
  if (named && Array.isArray(parts) && parts.every(hasOneEncoding)) return;
  throw new EnvelopeError('ERR_ENVELOPE_INVALID_VALUE', {
    context: {
      argument: 'parts',
      expected: 'a purpose, and well-formed strings or Uint8Arrays',
      received: describe(parts),
    },
  });
}

function hasOneEncoding(part: unknown): boolean {
  return typeof part === 'string' ? part.isWellFormed() : isBytes(part);
}
