import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import QuickLRU from 'quick-lru';
import { KeyringError } from './errors.ts';
import { pae } from './internal/pae.ts';
import { keyBytes } from './keys.ts';
import type { Logger } from './logger.ts';
import { deriveMacKey } from './mac.ts';
import { deriveMessageKey, type MessageKey, newMessageKey, SALT_BYTES } from './message-key.ts';

/**
 * What a key may be used for.
 * - `active`: encrypts and decrypts. Exactly one key of a keyring.
 * - `decrypt-only`: reads what it once encrypted; where a new key starts and a rotated one ends.
 * - `disabled`: refused, but can be enabled again.
 * - `destroyed`: its bytes are gone from this process; the id stays taken.
 */
export type KeyState = 'active' | 'decrypt-only' | 'disabled' | 'destroyed';

// NIST SP 800-38D, section 8.3: at most 2^32 messages with random 96-bit nonces under one key.
const V1_MAX_USES = 2 ** 32;
const V1_WARN_USES = 2 ** 31;

/** Salts a reader remembers per key. A writer makes one an hour, so this spans a fleet. */
const READER_CACHE = 1024; // quick-lru keeps up to twice as many
const MAC_PURPOSES = 16;

/** Hears of every version 1 envelope: a host that persists the count hands it back as `v1Uses`. */
export type V1UseHook = (kid: string, uses: number) => void;

/** How the version 1 envelopes of a key are counted. */
export interface V1Usage {
  readonly uses: number;
  readonly onUse: V1UseHook | undefined;
  readonly logger: Logger | undefined;
}

/** A key, its state, and what was derived from it. Internal to the package. */
export class KeyEntry {
  readonly kid: string;
  state: KeyState;
  v1Uses: number;
  readonly #logger: Logger | undefined;
  readonly #onV1Use: V1UseHook | undefined;
  #warned = false;
  #secret: KeyObject | undefined;
  #writer: MessageKey | undefined;
  #readers: QuickLRU<string, MessageKey> | undefined;
  readonly #macKeys = new Map<string, KeyObject>();
  readonly #prefixes = new Map<string, Uint8Array>();

  constructor(kid: string, key: unknown, state: KeyState, v1: V1Usage) {
    const bytes = keyBytes(key, kid);
    this.kid = kid;
    this.state = state;
    this.v1Uses = v1.uses;
    this.#logger = v1.logger;
    this.#onV1Use = v1.onUse;
    this.#secret = createSecretKey(bytes);
    bytes.fill(0);
  }

  /** Whether this is the same key under another id. */
  sameKeyAs(other: KeyEntry): boolean {
    return this.#secret !== undefined && other.#secret !== undefined && this.#secret.equals(other.#secret);
  }

  /** The key itself. Only for an entry whose state was checked. */
  get secret(): KeyObject {
    if (this.#secret === undefined) throw new TypeError('A destroyed key was used.');
    return this.#secret;
  }

  /** Counts one version 1 envelope; warns at 2^31, refuses at 2^32. */
  countV1(): void {
    if (this.v1Uses >= V1_MAX_USES) throw new KeyringError('ERR_KEYRING_KEY_EXHAUSTED', { context: { kid: this.kid } });
    this.v1Uses++;
    this.#onV1Use?.(this.kid, this.v1Uses);
    if (this.v1Uses >= V1_WARN_USES && !this.#warned) {
      this.#warned = true;
      this.#logger?.warn(
        `Key ${this.kid} has made over 2^31 version 1 envelopes; it is refused at 2^32. Activate a new key.`,
      );
    }
  }

  /** The message key that this process writes with now; a fresh salt after 2^20 messages or an hour. */
  writer(suiteId: string): MessageKey {
    const current = this.#writer;
    if (current?.mayWrite()) return current;
    this.#writer = newMessageKey(this.secret, suiteId, this.kid);
    return this.#writer;
  }

  /** The message key of a salt read from an envelope; derived, and remembered only by {@link remember}. */
  reader(suiteId: string, salt: Buffer, offset: number): MessageKey {
    const known = this.#readers?.get(salt.toString('latin1', offset, offset + SALT_BYTES));
    return known ?? deriveMessageKey(this.secret, suiteId, this.kid, salt.subarray(offset, offset + SALT_BYTES));
  }

  /** Caches a message key under which a tag has verified, so that junk salts cannot push out the real ones. */
  remember(message: MessageKey): void {
    if (message.remembered) return;
    message.remembered = true;
    this.#readers ??= new QuickLRU({ maxSize: READER_CACHE });
    this.#readers.set(message.saltKey, message);
  }

  /** `PAE` up to the payload type, as bytes; the number of parts is patched in by the caller. */
  associatedDataPrefix(suiteId: string, type: string): Uint8Array {
    const name = `${suiteId}.${type}`;
    let prefix = this.#prefixes.get(name);
    if (prefix === undefined) {
      prefix = pae(['keywright/2', suiteId, this.kid, type]);
      this.#prefixes.set(name, prefix);
    }
    return prefix;
  }

  /** Subkey for authenticating data that is not encrypted; see mac.ts. */
  macKey(purpose: string): KeyObject {
    let key = this.#macKeys.get(purpose);
    if (key === undefined) {
      key = deriveMacKey(this.secret, this.kid, purpose);
      if (this.#macKeys.size >= MAC_PURPOSES) this.#macKeys.clear();
      this.#macKeys.set(purpose, key);
    }
    return key;
  }

  /** First 8 bytes of HMAC-SHA-256 of a label: tells keys apart, and nothing else about them. */
  checkValue(): Uint8Array {
    return createHmac('sha256', this.secret).update('keywright/check-value').digest().subarray(0, 8);
  }

  /** Changes state. Derived keys are dropped, so no cache outlives the decision. */
  become(state: KeyState): void {
    this.state = state;
    this.#writer = undefined;
    this.#readers = undefined;
    this.#macKeys.clear();
    if (state === 'destroyed') this.#secret = undefined;
  }
}
