import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto';
import { pae } from './internal/pae.ts';

const NO_SALT = new Uint8Array(0);

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
export function macOf(key: KeyObject, parts: readonly (string | Uint8Array)[]): Buffer {
  return createHmac('sha256', key).update(pae(parts)).digest();
}

/** Compares in constant time; a mac of another length never matches. */
export function macMatches(expected: Uint8Array, actual: Uint8Array): boolean {
  return expected.byteLength === actual.byteLength && timingSafeEqual(expected, actual);
}
