import { contextPairs, type EncryptionContext } from './context.ts';
import { type EnvelopeV2, readEnvelope } from './envelope.ts';
import { EnvelopeError, KeyringError } from './errors.ts';
import { isTooLong, MAX_PLAINTEXT_BYTES } from './formats/plaintext.ts';
import { openV1 } from './formats/v1.ts';
import { openBytes, readBytes, sealBytes } from './formats/v2-bytes.ts';
import { openObject, sealObject } from './formats/v2-object.ts';
import { openText, readText, sealText } from './formats/v2-text.ts';
import { isBytes } from './internal/bytes.ts';
import { type JsonInput, type JsonValue, toJson } from './json.ts';
import { KeyEntry, type KeyState, type V1UseHook } from './key-entry.ts';
import type { KeyWrapper, WrapOptions, WrappedKey } from './key-wrapper.ts';
import { checkKid } from './keys.ts';
import { describe } from './keywright-error.ts';
import type { Logger } from './logger.ts';
import { checkMacInput, type MacParts, macMatches, macOf } from './mac.ts';
import { A256GCM, type Buffer, isMap } from './runtime/node.ts';
import { isSuiteId, type Suite, type SuiteId } from './suites/suite.ts';

/** What every way to make a keyring takes besides its keys. */
export interface KeyringOptions {
  /**
   * Version 1 envelopes that each key has made so far, as {@link KeyringOptions.onV1Use} reported them to the host.
   * @default every key starts at 0
   */
  readonly v1Uses?: Readonly<Record<string, number>> | undefined;
  /** Hears of every version 1 envelope with the count so far, so that a host can persist it. */
  readonly onV1Use?: V1UseHook | undefined;
  /**
   * The suite that encrypts.
   * @default AES-256-GCM
   */
  readonly suite?: Suite | undefined;
  /**
   * Suites that can be decrypted besides `suite` and AES-256-GCM. An envelope is opened with the suite that it names, or
   * refused.
   * @default none
   */
  readonly suites?: readonly Suite[] | undefined;
  /**
   * Whether {@link Keyring.decrypt} opens version 1 envelopes. They are bound to nothing, so whoever can write a column
   * can put one where a version 2 envelope stood: refuse them once the last is gone.
   * @default 'allow'
   */
  readonly v1?: 'allow' | 'reject' | undefined;
  /** Hears of keys that near their limit of use. @default silence */
  readonly logger?: Logger | undefined;
}

export interface CreateKeyringOptions extends KeyringOptions {
  /** kid → 32 bytes as padded base64, hex or Uint8Array. The bytes are copied; wipe yours. */
  readonly keys: Readonly<Record<string, string | Uint8Array>>;
  /** The key that encrypts. The others only decrypt. */
  readonly activeKid: string;
}

export interface ContextOptions {
  /** The pairs that the ciphertext is bound to. Write `{}` where there is really nothing to bind. */
  readonly context: EncryptionContext;
}

/** An authentication code and the id of the key it was made with. */
export interface KeyedMac {
  readonly kid: string;
  /** HMAC-SHA-256, 32 bytes. */
  readonly mac: Uint8Array;
}

let entryFor: (keyring: Keyring, kid: string) => KeyEntry;
let suiteFor: (keyring: Keyring, id?: SuiteId) => Suite;

/**
 * Named keys, one of which is active. Keys are found by exact id, never by trial. Make one with
 * {@link createKeyring} or {@link keyringFromEnv}.
 *
 * It is a {@link KeyWrapper} too, so it can hold the root key of a store.
 */
export class Keyring implements KeyWrapper {
  readonly provider = 'keyring';
  readonly #entries = new Map<string, KeyEntry>();
  readonly #v1: 'allow' | 'reject';
  readonly #v1Usage: Required<Pick<KeyringOptions, 'v1Uses' | 'onV1Use' | 'logger'>>;
  readonly #suite: Suite;
  readonly #suites = new Map<SuiteId, Suite>([['A256GCM', A256GCM]]);
  #active: KeyEntry;

  static {
    entryFor = (keyring, kid) => keyring.#usable(kid);
    suiteFor = (keyring, id) => (id === undefined ? keyring.#suite : keyring.#suiteOf(id));
  }

  /** Use {@link createKeyring}. */
  constructor(options: CreateKeyringOptions) {
    // Taken one by one: the options hold the keys, which a keyring must not keep alive.
    const { suite = A256GCM, suites = [], v1 = 'allow', v1Uses = {}, onV1Use, logger } = options;
    if (v1 !== 'allow' && v1 !== 'reject') throw invalidArgument('v1', "'allow' or 'reject'", v1);
    if (!Array.isArray(suites)) throw invalidArgument('suites', 'an array of suites', suites);
    if (typeof v1Uses !== 'object' || v1Uses === null)
      throw invalidArgument('v1Uses', 'an object of kid to count', v1Uses);
    if (onV1Use !== undefined && typeof onV1Use !== 'function') throw invalidArgument('onV1Use', 'a function', onV1Use);
    if (logger !== undefined && typeof logger?.warn !== 'function') throw invalidArgument('logger', 'a logger', logger);
    this.#v1 = v1;
    this.#v1Usage = { v1Uses, onV1Use, logger };
    for (const each of [...suites, suite]) this.#suites.set(checkSuite(each).id, each);
    this.#suite = suite;
    const activeKid = checkKid(options.activeKid);
    for (const [kid, key] of Object.entries(options.keys)) {
      this.#put(kid, key, kid === activeKid ? 'active' : 'decrypt-only');
    }
    if (this.#entries.size === 0) throw new KeyringError('ERR_KEYRING_KEY_MISSING');
    this.#active = this.#find(activeKid);
  }

  get activeKid(): string {
    return this.#active.kid;
  }

  /** Ids of all keys, destroyed ones included. */
  get kids(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /**
   * Encrypts what JSON can represent into a version 2 object envelope under the active key.
   * @throws EnvelopeError `ERR_ENVELOPE_INVALID_CONTEXT`, `ERR_ENVELOPE_INVALID_VALUE`
   */
  encrypt(value: JsonInput, options: ContextOptions): EnvelopeV2 {
    const json = toJson(value);
    const context = contextPairs(options?.context);
    return sealObject(this.#active, this.#suite, context, json);
  }

  /**
   * Opens an object envelope, version 2 under its context. A version 1 envelope is opened too: it is bound to nothing,
   * so for it the context is not looked at.
   *
   * @throws EnvelopeError `ERR_ENVELOPE_DECRYPT` without a reason; `ERR_ENVELOPE_NOT_ENCRYPTED`,
   * `ERR_ENVELOPE_UNSUPPORTED_VERSION`, `ERR_ENVELOPE_MALFORMED` for what is no envelope; `ERR_ENVELOPE_VERSION_REFUSED`;
   * KeyringError `ERR_KEYRING_KID_UNKNOWN`, `ERR_KEYRING_KEY_NOT_USABLE`, `ERR_KEYRING_SUITE_MISSING`
   */
  decrypt(envelope: unknown, options: ContextOptions): JsonValue {
    const read = readEnvelope(envelope);
    const context = contextPairs(options?.context);
    if (read.__enc === 1 && this.#v1 === 'reject') throw new EnvelopeError('ERR_ENVELOPE_VERSION_REFUSED');
    const entry = this.#usable(read.kid);
    return opened(
      read.__enc === 1 ? openV1(entry, read) : openObject(entry, this.#suiteOf(read.alg ?? 'A256GCM'), context, read),
    );
  }

  /**
   * Encrypts text into a text token, `kw2.<suite>.<kid>.<iv>.<ct>`, for text columns.
   * @param text well-formed, at most 256 MiB as UTF-8
   * @throws EnvelopeError `ERR_ENVELOPE_INVALID_CONTEXT`, `ERR_ENVELOPE_INVALID_VALUE`
   */
  encryptText(text: string, options: ContextOptions): string {
    if (typeof text !== 'string' || !text.isWellFormed() || isTooLong(text)) {
      throw new EnvelopeError('ERR_ENVELOPE_INVALID_VALUE', {
        context: {
          expected: `a well-formed string of at most ${MAX_PLAINTEXT_BYTES} bytes as UTF-8`,
          received: describe(text),
        },
      });
    }
    const context = contextPairs(options?.context);
    return sealText(this.#active, this.#suite, context, text);
  }

  /** Opens a text token. Throws as {@link decrypt} does. */
  decryptText(token: string, options: ContextOptions): string {
    const layout = readText(token);
    const context = contextPairs(options?.context);
    return opened(openText(this.#usable(layout.kid), this.#suiteOf(layout.suite), context, layout));
  }

  /**
   * Encrypts bytes into a bytes envelope, for bytea and blob columns.
   * @throws EnvelopeError `ERR_ENVELOPE_INVALID_CONTEXT`, `ERR_ENVELOPE_INVALID_VALUE`
   */
  encryptBytes(plaintext: Uint8Array, options: ContextOptions): Buffer {
    // First, because it may run code of the caller's, which may give the plaintext's memory away.
    const context = contextPairs(options?.context);
    if (!isBytes(plaintext) || plaintext.byteLength > MAX_PLAINTEXT_BYTES) {
      throw new EnvelopeError('ERR_ENVELOPE_INVALID_VALUE', {
        context: { expected: `a Uint8Array of at most ${MAX_PLAINTEXT_BYTES} bytes`, received: describe(plaintext) },
      });
    }
    return sealBytes(this.#active, this.#suite, context, plaintext);
  }

  /** Opens a bytes envelope, into memory that the caller may wipe. Throws as {@link decrypt} does. */
  decryptBytes(envelope: Uint8Array, options: ContextOptions): Buffer {
    if (!isBytes(envelope)) {
      throw new EnvelopeError('ERR_ENVELOPE_NOT_ENCRYPTED', {
        context: { expected: 'Uint8Array', received: describe(envelope) },
      });
    }
    const context = contextPairs(options?.context);
    const layout = readBytes(envelope);
    return opened(openBytes(this.#usable(layout.kid), this.#suiteOf(layout.suite), context, layout));
  }

  /**
   * Authenticates data that is kept in the clear: HMAC-SHA-256 under a subkey of the active key for this purpose, over
   * the PAE of `parts`.
   * @param purpose a constant of the code that calls, such as `secrets.binding`; never user input
   * @throws EnvelopeError `ERR_ENVELOPE_INVALID_VALUE` for parts that have no one encoding
   */
  mac(purpose: string, parts: MacParts): KeyedMac {
    const checked = checkMacInput(purpose, parts);
    return { kid: this.#active.kid, mac: macOf(this.#active.macKey(purpose), checked) };
  }

  /**
   * Whether `mac` was made by {@link mac} under the key `keyed.kid`, for this purpose and these parts.
   * @throws EnvelopeError `ERR_ENVELOPE_INVALID_VALUE`; KeyringError `ERR_KEYRING_KID_UNKNOWN`, `ERR_KEYRING_KEY_NOT_USABLE`
   */
  verifyMac(purpose: string, parts: MacParts, keyed: KeyedMac): boolean {
    const checked = checkMacInput(purpose, parts);
    return macMatches(macOf(this.#usable(keyed?.kid).macKey(purpose), checked), keyed.mac);
  }

  async wrapKey(key: Uint8Array, options: WrapOptions): Promise<WrappedKey> {
    const wrapped = this.encryptBytes(key, options);
    // Asked afterwards: reading the context may have run code that rotates the keyring.
    return { kid: this.activeKid, wrapped };
  }

  async unwrapKey(wrapped: WrappedKey, options: WrapOptions): Promise<Uint8Array> {
    const key = this.decryptBytes(wrapped?.wrapped, options);
    // The stored id decides which root keys are still needed: it must be the one that was really used.
    if (readBytes(wrapped.wrapped).kid === wrapped.kid) return key;
    key.fill(0);
    return opened<Uint8Array>(undefined);
  }

  async checkValue(kid: string): Promise<Uint8Array> {
    return this.#usable(kid).checkValue();
  }

  async verifyCheckValue(kid: string, checkValue: Uint8Array): Promise<boolean> {
    return macMatches(this.#usable(kid).checkValue(), checkValue);
  }

  /** State of a key. @throws KeyringError `ERR_KEYRING_KID_UNKNOWN` */
  state(kid: string): KeyState {
    return this.#find(kid).state;
  }

  /** Version 1 envelopes made under a key, the count it started with included. @throws KeyringError `ERR_KEYRING_KID_UNKNOWN` */
  v1Uses(kid: string): number {
    return this.#find(kid).v1Uses;
  }

  /**
   * Adds a key as decrypt-only. Every process must be able to read with it before any process writes with it.
   * @throws KeyringError `ERR_KEYRING_KID_DUPLICATE`, also for the id of a destroyed key; `ERR_KEYRING_KEY_DUPLICATE`,
   * `ERR_KEYRING_KEY_INVALID`, `ERR_KEYRING_KID_INVALID`
   */
  add(kid: string, key: string | Uint8Array): void {
    this.#put(kid, key, 'decrypt-only');
  }

  /**
   * Makes a decrypt-only key the active one; the one that was active decrypts from now on.
   * @throws KeyringError `ERR_KEYRING_KID_UNKNOWN`, `ERR_KEYRING_STATE_CONFLICT` for a disabled or destroyed key
   */
  activate(kid: string): void {
    const next = this.#find(kid);
    if (next === this.#active) return;
    this.#expect(next, ['decrypt-only']);
    this.#active.become('decrypt-only');
    next.become('active');
    this.#active = next;
  }

  /**
   * Refuses a key until it is enabled.
   * @throws KeyringError `ERR_KEYRING_KID_UNKNOWN`, `ERR_KEYRING_STATE_CONFLICT` for the active or a destroyed key
   */
  disable(kid: string): void {
    const entry = this.#find(kid);
    this.#expect(entry, ['decrypt-only', 'disabled']);
    entry.become('disabled');
  }

  /** Lets a disabled key decrypt again. Throws as {@link disable} does. */
  enable(kid: string): void {
    const entry = this.#find(kid);
    this.#expect(entry, ['disabled', 'decrypt-only']);
    entry.become('decrypt-only');
  }

  /**
   * Drops a key for good. What only it can read is gone for this process.
   * @throws KeyringError `ERR_KEYRING_KID_UNKNOWN`, `ERR_KEYRING_STATE_CONFLICT` for the active key
   */
  destroy(kid: string): void {
    const entry = this.#find(kid);
    this.#expect(entry, ['decrypt-only', 'disabled', 'destroyed']);
    entry.become('destroyed');
  }

  /** Ids and states; never a key. */
  toJSON(): { activeKid: string; keys: Record<string, KeyState> } {
    return {
      activeKid: this.activeKid,
      keys: Object.fromEntries([...this.#entries].map(([kid, entry]) => [kid, entry.state])),
    };
  }

  #put(kid: string, key: unknown, state: KeyState): void {
    if (this.#entries.has(checkKid(kid))) throw new KeyringError('ERR_KEYRING_KID_DUPLICATE', { context: { kid } });
    const { v1Uses = {}, onV1Use: onUse, logger } = this.#v1Usage;
    const uses = Object.hasOwn(v1Uses, kid) ? v1Uses[kid] : 0;
    if (!Number.isSafeInteger(uses) || Number(uses) < 0) throw invalidArgument('v1Uses', 'counts of 0 or more', uses);
    const entry = new KeyEntry(kid, key, state, { uses: Number(uses), onUse, logger });
    for (const other of this.#entries.values()) {
      if (entry.sameKeyAs(other)) throw new KeyringError('ERR_KEYRING_KEY_DUPLICATE', { context: { kid } });
    }
    this.#entries.set(kid, entry);
  }

  #find(kid: string): KeyEntry {
    const entry = this.#entries.get(checkKid(kid));
    if (entry === undefined) throw new KeyringError('ERR_KEYRING_KID_UNKNOWN', { context: { kid } });
    return entry;
  }

  #usable(kid: string): KeyEntry {
    const entry = this.#find(kid);
    entry.requireUsable();
    return entry;
  }

  #suiteOf(id: SuiteId): Suite {
    const suite = this.#suites.get(id);
    if (suite === undefined) throw new KeyringError('ERR_KEYRING_SUITE_MISSING', { context: { expected: id } });
    return suite;
  }

  #expect(entry: KeyEntry, states: readonly KeyState[]): void {
    if (states.includes(entry.state)) return;
    throw new KeyringError('ERR_KEYRING_STATE_CONFLICT', { context: { kid: entry.kid, state: entry.state } });
  }
}

/**
 * A keyring from keys in memory. Prefer {@link keyringFromEnv} for configuration.
 *
 * @throws KeyringError `ERR_KEYRING_INVALID_ARGUMENT`, `ERR_KEYRING_KEY_MISSING`, `ERR_KEYRING_KEY_INVALID`,
 * `ERR_KEYRING_KEY_DUPLICATE`, `ERR_KEYRING_KID_INVALID`, `ERR_KEYRING_KID_UNKNOWN` (no key under `activeKid`)
 *
 * @example
 * ```ts
 * import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
 *
 * const keyring = createKeyring({ keys: { '2026-11': generateKeyBase64() }, activeKid: '2026-11' });
 * const context = { table: 'connections', column: 'credentials', tenant: 'acme', id: '42' };
 * const envelope = keyring.encrypt({ apiKey: 'sk_test_1' }, { context });
 * keyring.decrypt(envelope, { context }); // { apiKey: 'sk_test_1' }
 * ```
 */
export function createKeyring(options: CreateKeyringOptions): Keyring {
  const keys: unknown = options?.keys;
  if (typeof keys !== 'object' || keys === null || isMap(keys)) {
    throw invalidArgument('keys', 'an object of kid to key', keys);
  }
  return new Keyring({ ...options });
}

/** The usable entry of a key, for the formats that this package writes outside the class. */
export function usableEntry(keyring: Keyring, kid: string): KeyEntry {
  if (!(keyring instanceof Keyring)) throw invalidArgument('keyring', 'a keyring of this package', keyring);
  return entryFor(keyring, kid);
}

/** The suite of a name, or the one that encrypts; for the forms that this package writes outside the class. */
export function suiteOf(keyring: Keyring, id?: SuiteId): Suite {
  if (!(keyring instanceof Keyring)) throw invalidArgument('keyring', 'a keyring of this package', keyring);
  return suiteFor(keyring, id);
}

/** The one place where decryption fails: the same error, and the same line of a stack, for every reason. */
function opened<T>(value: T | undefined): T {
  if (value !== undefined) return value;
  throw new EnvelopeError('ERR_ENVELOPE_DECRYPT');
}

function checkSuite(suite: Suite): Suite {
  if (isSuiteId(suite?.id) && typeof suite.importKey === 'function') return suite;
  throw invalidArgument('suite', 'a suite of this package', suite);
}

function invalidArgument(argument: string, expected: string, received: unknown): KeyringError {
  return new KeyringError('ERR_KEYRING_INVALID_ARGUMENT', {
    context: { argument, expected, received: describe(received) },
  });
}
