import { KeyringError } from '../errors.ts';
import { createKeyring, type Keyring, type KeyringOptions } from '../keyring.ts';
import { describe } from '../keywright-error.ts';
import { hasDuplicateNames, isObject, parseJson } from './strict-json.ts';

export interface KeyringFromEnvOptions extends KeyringOptions {
  /**
   * Start of the variables' names.
   * @default 'KEYWRIGHT'
   */
  readonly prefix?: string;
  /**
   * Where to read the variables.
   * @default process.env
   */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/**
 * A keyring from environment variables, in one of two forms:
 * - single key: `<PREFIX>_KEY`, and `<PREFIX>_KID` (default `v1`);
 * - rotation: `<PREFIX>_KEYS`, a JSON object of kid → key, and `<PREFIX>_ACTIVE_KID`.
 *
 * Call it once, at start-up: whatever is wrong is thrown here and not at the first secret. A variable that is set but
 * empty counts as unset.
 *
 * @throws KeyringError `ERR_KEYRING_KEY_MISSING`, `ERR_KEYRING_KEY_INVALID`, `ERR_KEYRING_KID_INVALID`,
 * `ERR_KEYRING_KID_DUPLICATE`, `ERR_KEYRING_KID_UNKNOWN`, `ERR_KEYRING_ENV_CONFLICT`, `ERR_KEYRING_ENV_INVALID`
 *
 * @example
 * ```ts
 * import { generateKeyBase64, keyringFromEnv } from '@keywright/envelope';
 *
 * const env = { KEYWRIGHT_KEY: generateKeyBase64() }; // in a service: process.env, the default
 * const keyring = keyringFromEnv({ env });
 * keyring.activeKid; // 'v1'
 * ```
 */
export function keyringFromEnv(options: KeyringFromEnvOptions = {}): Keyring {
  if (typeof options !== 'object' || options === null) {
    const context = { argument: 'options', expected: 'an object', received: describe(options) };
    throw new KeyringError('ERR_KEYRING_INVALID_ARGUMENT', { context });
  }
  const { prefix, env, ...rest } = options;
  const { variable, keys, activeKid } = readVariables(prefix, env);
  return named(variable, () => createKeyring({ ...rest, keys, activeKid }));
}

const DEFAULT_KID = 'v1';

/** What the variables say, its keys not yet looked at. */
export interface EnvKeys {
  /** The variable that holds the key or keys. */
  readonly variable: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly activeKid: string;
}

/** Reads and checks the variables of {@link keyringFromEnv}. */
export function readVariables(prefix = 'KEYWRIGHT', env: KeyringFromEnvOptions['env'] = process.env): EnvKeys {
  const read = (suffix: string): string | undefined => String(env[`${prefix}_${suffix}`] ?? '').trim() || undefined;
  const key = read('KEY');
  const kid = read('KID');
  const keys = read('KEYS');
  const activeKid = read('ACTIVE_KID');

  if ((key !== undefined || kid !== undefined) && (keys !== undefined || activeKid !== undefined)) {
    throw new KeyringError('ERR_KEYRING_ENV_CONFLICT', { context: { variable: `${prefix}_KEY, ${prefix}_KEYS` } });
  }
  if (keys !== undefined) {
    const map = parseKeys(keys, `${prefix}_KEYS`);
    if (activeKid === undefined) throw invalid(`${prefix}_ACTIVE_KID`, 'a kid of the map', 'nothing');
    return { variable: `${prefix}_KEYS`, keys: map, activeKid };
  }
  if (key === undefined) throw new KeyringError('ERR_KEYRING_KEY_MISSING', { context: { variable: `${prefix}_KEY` } });
  const keyId = kid ?? DEFAULT_KID;
  return { variable: `${prefix}_KEY`, keys: { [keyId]: key }, activeKid: keyId };
}

/** Adds the variable's name to what is wrong with a key: nobody typed the kid `v1`. */
function named(variable: string, make: () => Keyring): Keyring {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof KeyringError)) throw error;
    throw new KeyringError(error.code, { context: { ...error.context, variable } });
  }
}

function parseKeys(text: string, variable: string): Record<string, string> {
  const parsed = parseJson(text);
  if (parsed === undefined) throw invalid(variable, 'a JSON object of kid to key', 'no JSON');
  if (!isObject(parsed)) throw invalid(variable, 'a JSON object of kid to key', 'other JSON');
  if (!Object.values(parsed).every((key) => typeof key === 'string')) {
    throw invalid(variable, 'keys as strings', 'other JSON');
  }
  if (hasDuplicateNames(text)) throw new KeyringError('ERR_KEYRING_KID_DUPLICATE', { context: { variable } });
  return parsed as Record<string, string>;
}

function invalid(variable: string, expected: string, received: string): KeyringError {
  return new KeyringError('ERR_KEYRING_ENV_INVALID', { context: { variable, expected, received } });
}
