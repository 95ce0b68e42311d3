import { createHash, timingSafeEqual } from 'node:crypto';
import {
  type EncryptionContext,
  EnvelopeError,
  KeyringError,
  type KeyWrapper,
  type WrapOptions,
  type WrappedKey,
} from '@keywright/envelope';
import { checkInteger, invalidArgument, kindOf, readOptions } from '../arguments.ts';
import { KmsError } from '../errors.ts';
import type { CallOptions, KmsProvider, WrappingKeyRef } from '../provider.ts';
import { checkContext, contextBytes } from './context.ts';

/** Options of {@link kmsKeyWrapper}. */
export interface KmsKeyWrapperOptions {
  /** Has the wrapping keys. The host closes it. */
  readonly provider: KmsProvider;
  /**
   * kid → key of the backend. A kid names one key for ever: what was wrapped under it is looked for there. Keep a kid as
   * long as anything is wrapped under it.
   */
  readonly keys: Readonly<Record<string, WrappingKeyRef>>;
  /** The key that wraps. The others only unwrap. */
  readonly activeKid: string;
  /**
   * Longest that one call of the backend may take with its retries, in milliseconds.
   * @default the provider's
   */
  readonly timeoutMs?: number | undefined;
}

const KID = /^[A-Za-z0-9_-]{1,64}$/;
const MAX_KEY_BYTES = 1024;
const DIGEST_BYTES = 32;
const LABEL = 'keywright.kms.wrapped-key.v1';
const CANARY = Buffer.from('keywright.kms.check-value.canary');

/**
 * Keys of a KMS as the holder of a root key: pass it to the secret store as `root`. The root key never leaves the KMS;
 * what the store keeps in its cache is what it unwraps.
 *
 * Nothing is asked of the backend here. `wrapKey` and `unwrapKey` reject with KmsError, KeyringError
 * `ERR_KEYRING_KID_UNKNOWN` for a kid that is not in `keys`, and EnvelopeError `ERR_ENVELOPE_DECRYPT`.
 *
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`, `ERR_KMS_UNSUPPORTED` for a provider that cannot wrap; KeyringError
 * `ERR_KEYRING_KEY_MISSING`, `ERR_KEYRING_KID_INVALID`, `ERR_KEYRING_KID_UNKNOWN` (no key under `activeKid`)
 *
 * @example
 * ```ts
 * import { type KmsProvider, kmsKeyWrapper } from '@keywright/kms';
 * import { createSecretStore } from '@keywright/secrets';
 * import type { Knex } from 'knex';
 *
 * export const openStore = (knex: Knex, provider: KmsProvider) =>
 *   createSecretStore({
 *     knex,
 *     root: kmsKeyWrapper({ provider, keys: { '2026-11': { externalId: 'secrets-root' } }, activeKid: '2026-11' }),
 *   });
 * ```
 */
export function kmsKeyWrapper(options: KmsKeyWrapperOptions): KeyWrapper {
  const checked = readOptions(options, 'options', ({ provider, keys, activeKid, timeoutMs }) => ({
    provider: checkProvider(provider),
    keys: checkKeys(keys),
    activeKid: checkKid(activeKid),
    timeoutMs: timeoutMs === undefined ? undefined : checkInteger(timeoutMs, 'timeoutMs'),
  }));
  return new KmsKeyWrapper(checked);
}

class KmsKeyWrapper implements KeyWrapper {
  readonly provider: string;
  readonly activeKid: string;
  readonly #kms: KmsProvider;
  readonly #keys: ReadonlyMap<string, WrappingKeyRef>;
  readonly #timeoutMs: number | undefined;

  constructor(options: {
    readonly provider: KmsProvider;
    readonly keys: ReadonlyMap<string, WrappingKeyRef>;
    readonly activeKid: string;
    readonly timeoutMs: number | undefined;
  }) {
    this.provider = options.provider.type;
    this.activeKid = options.activeKid;
    this.#kms = options.provider;
    this.#keys = options.keys;
    this.#timeoutMs = options.timeoutMs;
    this.#key(this.activeKid);
  }

  async wrapKey(key: Uint8Array, options: WrapOptions): Promise<WrappedKey> {
    checkKey(key);
    return { kid: this.activeKid, wrapped: await this.#wrap(this.activeKid, key, options) };
  }

  async unwrapKey(wrapped: WrappedKey, options: WrapOptions): Promise<Uint8Array> {
    const kid = wrapped?.kid;
    const bytes: unknown = wrapped?.wrapped;
    const ref = this.#key(kid);
    if (!(bytes instanceof Uint8Array) || bytes.byteLength === 0) throw new EnvelopeError('ERR_ENVELOPE_DECRYPT');
    const context = checkContext(options?.context);
    const bound = contextBytes(context);
    const payload = await this.#kms.unwrapKey(ref, bytes, context, this.#call(options));
    // A backend, or what stands before it, that answers with anything else than what was wrapped shows here.
    const key = payload.subarray(DIGEST_BYTES);
    const digest = payload.subarray(0, DIGEST_BYTES);
    if (payload.byteLength > DIGEST_BYTES && timingSafeEqual(digest, digestOf(bound, key)) && !isZero(key)) return key;
    payload.fill(0);
    throw new EnvelopeError('ERR_ENVELOPE_DECRYPT');
  }

  /** A wrapped canary: only the key that wrapped it can unwrap it. */
  async checkValue(kid: string): Promise<Uint8Array> {
    return await this.#wrap(kid, CANARY, { context: canaryContext(kid) });
  }

  async verifyCheckValue(kid: string, checkValue: Uint8Array): Promise<boolean> {
    try {
      const canary = await this.unwrapKey({ kid, wrapped: checkValue }, { context: canaryContext(kid) });
      return CANARY.equals(canary);
    } catch (error) {
      if (error instanceof EnvelopeError && error.code === 'ERR_ENVELOPE_DECRYPT') return false;
      throw error;
    }
  }

  async #wrap(kid: string, key: Uint8Array, options: WrapOptions): Promise<Uint8Array> {
    const ref = this.#key(kid);
    const context = checkContext(options?.context);
    const bound = contextBytes(context);
    // A copy of its own: the caller may wipe its key when this was aborted, and a backend may still be reading.
    const payload = Buffer.allocUnsafeSlow(DIGEST_BYTES + key.byteLength);
    payload.set(digestOf(bound, key));
    payload.set(key, DIGEST_BYTES);
    try {
      return await this.#kms.wrapKey(ref, payload, context, this.#call(options));
    } finally {
      payload.fill(0);
    }
  }

  #key(kid: string): WrappingKeyRef {
    const ref = this.#keys.get(checkKid(kid));
    if (ref === undefined) throw new KeyringError('ERR_KEYRING_KID_UNKNOWN', { context: { kid } });
    return ref;
  }

  #call({ signal }: WrapOptions): CallOptions {
    return { signal, timeoutMs: this.#timeoutMs };
  }
}

/** Binds a key to its context by itself, whatever the backend makes of that. */
function digestOf(context: Uint8Array, key: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(context.byteLength);
  return createHash('sha256').update(LABEL).update(length).update(context).update(key).digest();
}

function canaryContext(kid: string): EncryptionContext {
  return { purpose: 'keywright.kms.check-value', kid };
}

function checkKey(key: unknown): void {
  const expected = `a Uint8Array of 1 to ${MAX_KEY_BYTES} bytes, not all of them 0`;
  if (!(key instanceof Uint8Array)) throw invalidArgument('key', expected, kindOf(key));
  if (key.byteLength > 0 && key.byteLength <= MAX_KEY_BYTES && !isZero(key)) return;
  throw invalidArgument('key', expected, `${key.byteLength} bytes`);
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

function checkProvider(provider: KmsProvider | undefined): KmsProvider {
  if (typeof provider !== 'object' || provider === null || typeof provider.unwrapKey !== 'function') {
    throw invalidArgument('provider', 'a KMS provider', kindOf(provider));
  }
  if (provider.capabilities.wrapKey) return provider;
  throw new KmsError('ERR_KMS_UNSUPPORTED', { context: { provider: provider.id, operation: 'wrapKey' } });
}

function checkKeys(keys: KmsKeyWrapperOptions['keys'] | undefined): ReadonlyMap<string, WrappingKeyRef> {
  if (typeof keys !== 'object' || keys === null || Array.isArray(keys) || keys instanceof Map) {
    throw invalidArgument('keys', 'an object of kid to wrapping key', kindOf(keys));
  }
  const checked = new Map<string, WrappingKeyRef>();
  for (const [kid, key] of Object.entries(keys)) {
    const externalId: unknown = key?.externalId;
    if (typeof externalId !== 'string' || externalId === '') {
      throw invalidArgument('keys.externalId', 'the backend’s id of the wrapping key', kindOf(externalId));
    }
    checked.set(checkKid(kid), Object.freeze({ externalId }));
  }
  if (checked.size === 0) throw new KeyringError('ERR_KEYRING_KEY_MISSING');
  return checked;
}

function checkKid(kid: unknown): string {
  if (typeof kid === 'string' && KID.test(kid)) return kid;
  throw new KeyringError('ERR_KEYRING_KID_INVALID', { context: { received: kindOf(kid) } });
}
