import { pae } from './internal/pae.ts';
import { Buffer, fillRandom, hkdfSha512, type SecretKey } from './runtime/node.ts';
import type { Suite, SuiteKey } from './suites/suite.ts';

export const MESSAGE_KEY_BYTES = 32;
export const SALT_BYTES = 16;
export const COMMITMENT_BYTES = 32;

const MAX_MESSAGES = 2 ** 20;
const MAX_AGE_MS = 60 * 60 * 1000;

/**
 * What a key and a salt give: the key of one batch of messages and the commitment that goes in front of each.
 *
 * `okm = HKDF-SHA-512(ikm = key, salt, info = PAE(…))`, 64 bytes: message key ‖ commitment. HKDF-SHA-512 is collision
 * resistant, so two keys with the same commitment cannot be found: a ciphertext opens under one key at most (Albertini et
 * al., "How to Abuse and Fix Authenticated Encryption Without Key Commitment", 2022).
 */
export class MessageKey {
  readonly salt: Buffer;
  readonly saltKey: string;
  readonly key: SuiteKey;
  readonly commitment: Buffer;
  remembered = false;
  #messages = 0;
  readonly #born = performance.now();

  constructor(suite: Suite, salt: Buffer, okm: Buffer) {
    this.salt = salt;
    this.saltKey = salt.toString('latin1', 0, SALT_BYTES);
    this.key = suite.importKey(okm.subarray(0, MESSAGE_KEY_BYTES));
    this.commitment = Buffer.allocUnsafeSlow(COMMITMENT_BYTES);
    okm.copy(this.commitment, 0, MESSAGE_KEY_BYTES, MESSAGE_KEY_BYTES + COMMITMENT_BYTES);
    okm.fill(0);
  }

  /** Counts one more message, or says that this salt has served: 2^20 random 96-bit nonces collide below 2^-56. */
  mayWrite(): boolean {
    return ++this.#messages <= MAX_MESSAGES && performance.now() - this.#born < MAX_AGE_MS;
  }
}

/** @param info the parts of HKDF's info, which tell apart what one key is used for */
export function deriveMessageKey(
  secret: SecretKey,
  suite: Suite,
  info: readonly (string | Uint8Array)[],
  salt: Uint8Array,
): MessageKey {
  const own = Buffer.allocUnsafeSlow(SALT_BYTES);
  own.set(salt);
  const okm = hkdfSha512(secret, own, pae(info), MESSAGE_KEY_BYTES + COMMITMENT_BYTES);
  return new MessageKey(suite, own, okm);
}

export function randomSalt(): Buffer {
  return fillRandom(Buffer.allocUnsafeSlow(SALT_BYTES));
}
