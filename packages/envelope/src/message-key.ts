import { createSecretKey, hkdfSync, type KeyObject, randomFillSync } from 'node:crypto';
import { pae } from './internal/pae.ts';

export const SALT_BYTES = 16;
export const COMMITMENT_BYTES = 32;

const MAX_MESSAGES = 2 ** 20;
const MAX_AGE_MS = 60 * 60 * 1000;

/**
 * What a key and a salt give: the key of one batch of messages and the commitment that goes in front of each.
 *
 * `okm = HKDF-SHA-512(ikm = key, salt, info = PAE("keywright/2", suite, kid))`, 64 bytes: message key ‖ commitment.
 * HKDF-SHA-512 is collision resistant, so two keys with the same commitment cannot be found: a ciphertext opens under
 * one key at most (Albertini et al., "How to Abuse and Fix Authenticated Encryption Without Key Commitment", 2022).
 */
export class MessageKey {
  readonly salt: Buffer;
  readonly saltKey: string;
  readonly key: KeyObject;
  readonly commitment: Buffer;
  remembered = false;
  #messages = 0;
  readonly #born = performance.now();

  constructor(salt: Buffer, okm: ArrayBuffer) {
    const bytes = Buffer.from(okm);
    this.salt = salt;
    this.saltKey = salt.toString('latin1', 0, SALT_BYTES);
    this.key = createSecretKey(bytes.subarray(0, 32));
    this.commitment = Buffer.allocUnsafeSlow(COMMITMENT_BYTES);
    bytes.copy(this.commitment, 0, 32, 64);
    bytes.fill(0);
  }

  /** Counts one more message, or says that this salt has served: 2^20 random 96-bit nonces collide below 2^-56. */
  mayWrite(): boolean {
    return ++this.#messages <= MAX_MESSAGES && performance.now() - this.#born < MAX_AGE_MS;
  }
}

export function deriveMessageKey(secret: KeyObject, suiteId: string, kid: string, salt: Uint8Array): MessageKey {
  const own = Buffer.allocUnsafeSlow(SALT_BYTES);
  own.set(salt);
  return new MessageKey(own, hkdfSync('sha512', secret, own, pae(['keywright/2', suiteId, kid]), 64));
}

/** A message key under a fresh random salt, its first message already counted. */
export function newMessageKey(secret: KeyObject, suiteId: string, kid: string): MessageKey {
  const salt = randomFillSync(Buffer.allocUnsafeSlow(SALT_BYTES));
  const message = deriveMessageKey(secret, suiteId, kid, salt);
  message.mayWrite();
  return message;
}
