import type { Envelope } from '../envelope.ts';
import { sealV1 } from '../formats/v1.ts';
import { type JsonInput, type JsonValue, toJson } from '../json.ts';
import { type Keyring, usableEntry } from '../keyring.ts';
import { isKeywrightError } from '../keywright-error.ts';
import { type KeyringFromEnvOptions, keyringFromEnv as readEnv } from '../sources/env.ts';

export { type Envelope, isEncrypted } from '../envelope.ts';
export type { JsonInput, JsonValue } from '../json.ts';
export type { Keyring } from '../keyring.ts';
export { generateKeyBase64 } from '../keys.ts';

const NOTHING_BOUND = { context: {} } as const;

/**
 * A keyring from `CONNECTOR_CRED_KEY` (and `CONNECTOR_CRED_KID`, default `v1`), or from `CONNECTOR_CRED_KEYS` and
 * `CONNECTOR_CRED_ACTIVE_KID`. Throws at start-up where nothing is set or both forms are, as `keyringFromEnv` of the
 * main entry does.
 */
export function keyringFromEnv(options: Omit<KeyringFromEnvOptions, 'prefix'> = {}): Keyring {
  return readEnv({ ...options, prefix: 'CONNECTOR_CRED' });
}

/**
 * Encrypts into a version 1 envelope. What already is one is left alone, but only if it decrypts: an object that
 * someone shaped like an envelope is data and is encrypted as data.
 *
 * @throws KeyringError `ERR_KEYRING_KID_UNKNOWN` or `ERR_KEYRING_KEY_NOT_USABLE` for an envelope whose key is not at
 * hand: it cannot be told from data, and wrapping it twice would hide that
 * @throws EnvelopeError `ERR_ENVELOPE_INVALID_VALUE`
 *
 * @example
 * ```ts
 * import { decryptCredentials, encryptCredentials, generateKeyBase64, keyringFromEnv } from '@keywright/envelope/compat';
 *
 * const keyring = keyringFromEnv({ env: { CONNECTOR_CRED_KEY: generateKeyBase64() } });
 * const stored = encryptCredentials({ password: 'hunter2' }, keyring); // { __enc: 1, kid: 'v1', iv: …, ct: … }
 * decryptCredentials(stored, keyring); // { password: 'hunter2' }
 * decryptCredentials({ password: 'from before' }, keyring); // unchanged
 * ```
 */
export function encryptCredentials(value: JsonInput, keyring: Keyring): Envelope {
  const claimed = claimedEnvelope(value);
  if (claimed !== undefined && decrypts(claimed, keyring)) return value as Envelope;
  const json = toJson(value);
  return sealV1(usableEntry(keyring, keyring?.activeKid), json);
}

/**
 * Decrypts an envelope of either version; whatever does not claim to be one is legacy plaintext and is returned
 * unchanged. An object with `__enc` decrypts or is refused, it never passes for plaintext.
 *
 * Never encrypt or decrypt an object that a client sent as it is: an envelope stolen elsewhere would decrypt for them.
 */
export function decryptCredentials<T = JsonValue>(value: Envelope, keyring: Keyring): T;
export function decryptCredentials<T>(value: T | Envelope, keyring: Keyring): T;
export function decryptCredentials<T = JsonValue>(value: unknown, keyring: Keyring): T;
export function decryptCredentials(value: unknown, keyring: Keyring): unknown {
  const claimed = claimedEnvelope(value);
  return claimed === undefined ? value : keyring.decrypt(claimed, NOTHING_BOUND);
}

/**
 * What `value` claims to be an envelope with. A document of an object mapper has its fields as getters of its prototype
 * and shows them in `toJSON()`.
 */
function claimedEnvelope(value: unknown): object | undefined {
  if (typeof value !== 'object' || value === null || !('__enc' in value)) return undefined;
  const { toJSON } = value as { toJSON?: unknown };
  const plain: unknown = typeof toJSON === 'function' ? toJSON.call(value) : value;
  return typeof plain === 'object' && plain !== null ? plain : value;
}

function decrypts(claimed: object, keyring: Keyring): boolean {
  try {
    keyring.decrypt(claimed, NOTHING_BOUND);
    return true;
  } catch (error) {
    if (isKeywrightError(error) && error.code.startsWith('ERR_ENVELOPE_')) return false;
    throw error;
  }
}
