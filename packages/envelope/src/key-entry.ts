import { KeyringError } from './errors.ts';
import { keyBytes } from './keys.ts';
import type { Logger } from './logger.ts';
import { deriveMacKey } from './mac.ts';
import { deriveMessageKey, type MessageKey } from './message-key.ts';
import { MessageKeys } from './message-keys.ts';
import { A256GCM, exportKey, hmacSha256, type SecretKey, sameKey, secretKey } from './runtime/node.ts';
import type { Suite, SuiteId, SuiteKey } from './suites/suite.ts';

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
  #secret: SecretKey | undefined;
  #v1Key: SuiteKey | undefined;
  readonly #messageKeys = new Map<SuiteId, MessageKeys>();
  readonly #macKeys = new Map<string, SecretKey>();

  constructor(kid: string, key: unknown, state: KeyState, v1: V1Usage) {
    const bytes = keyBytes(key, kid);
    this.kid = kid;
    this.state = state;
    this.v1Uses = v1.uses;
    this.#logger = v1.logger;
    this.#onV1Use = v1.onUse;
    this.#secret = secretKey(bytes);
    bytes.fill(0);
  }

  /** Whether this is the same key under another id. */
  sameKeyAs(other: KeyEntry): boolean {
    return this.#secret !== undefined && other.#secret !== undefined && sameKey(this.#secret, other.#secret);
  }

  /** @throws KeyringError `ERR_KEYRING_KEY_NOT_USABLE` */
  requireUsable(): void {
    if (this.state === 'active' || this.state === 'decrypt-only') return;
    throw new KeyringError('ERR_KEYRING_KEY_NOT_USABLE', { context: { kid: this.kid, state: this.state } });
  }

  /** The message keys of a suite. */
  messageKeys(suite: Suite): MessageKeys {
    let keys = this.#messageKeys.get(suite.id);
    if (keys === undefined) {
      keys = new MessageKeys(suite, this.kid, this.#usableSecret());
      this.#messageKeys.set(suite.id, keys);
    }
    return keys;
  }

  /** A key for one stream, under its own label. */
  streamKey(suite: Suite, info: readonly (string | Uint8Array)[], salt: Uint8Array): MessageKey {
    return deriveMessageKey(this.#usableSecret(), suite, info, salt);
  }

  /** The key itself as an AES-256-GCM key: version 1 derives nothing. */
  v1Key(): SuiteKey {
    if (this.#v1Key === undefined) {
      const bytes = exportKey(this.#usableSecret());
      this.#v1Key = A256GCM.importKey(bytes);
      bytes.fill(0);
    }
    return this.#v1Key;
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

  /** Subkey for authenticating data that is not encrypted; see mac.ts. */
  macKey(purpose: string): SecretKey {
    let key = this.#macKeys.get(purpose);
    if (key === undefined) {
      key = deriveMacKey(this.#usableSecret(), this.kid, purpose);
      if (this.#macKeys.size >= MAC_PURPOSES) this.#macKeys.clear();
      this.#macKeys.set(purpose, key);
    }
    return key;
  }

  /** First 8 bytes of HMAC-SHA-256 of a label: tells keys apart, and nothing else about them. */
  checkValue(): Uint8Array {
    return hmacSha256(this.#usableSecret(), 'keywright/check-value').subarray(0, 8);
  }

  /** Changes state. Derived keys are dropped, so no cache outlives the decision. */
  become(state: KeyState): void {
    this.state = state;
    this.#v1Key = undefined;
    this.#messageKeys.clear();
    this.#macKeys.clear();
    if (state === 'destroyed') this.#secret = undefined;
  }

  /** Only for an entry whose state was checked. */
  #usableSecret(): SecretKey {
    if (this.#secret === undefined) throw new TypeError('A destroyed key was used.');
    return this.#secret;
  }
}
