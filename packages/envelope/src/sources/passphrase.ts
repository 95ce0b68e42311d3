import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { describe } from '../keywright-error.ts';
import { checkOptions, configError, defineSource, kidOf } from './define.ts';
import { KeySourceError } from './errors.ts';
import { deriveKey, type KdfCosts } from './kdf.ts';
import { CHECK_BYTES, formatKdfParameters, parseKdfParameters } from './kdf-parameters.ts';
import { decodeMaterial } from './material.ts';
import type { KeySource, SecretOptions } from './source.ts';

const NAME = 'passphrase';
const DEFAULT_PASSPHRASE_TIMEOUT_MS = 60_000;
const MIN_PASSPHRASE_LENGTH = 12;
const MAX_PASSPHRASE_LENGTH = 1024;

/** A passphrase, or what asks for it at each load. */
export type Passphrase = string | (() => string | Promise<string>);

export interface PassphraseOptions extends SecretOptions {
  /**
   * Most that one load may take, in milliseconds, asking for the passphrase included.
   * @default 60_000
   */
  readonly timeoutMs?: number | undefined;
}

/** The second recommendation of RFC 9106, section 4. */
const DEFAULT_COSTS: KdfCosts = { algorithm: 'argon2id', memoryKib: 65_536, passes: 3, parallelism: 4 };

/**
 * One key, derived from a passphrase. The parameters are not secret: make them once with
 * {@link makePassphraseParameters} and keep them with the configuration. They hold salt and costs, and a check value by
 * which a mistyped passphrase is refused here and not at the first secret.
 *
 * Argon2id runs in `node:crypto` where Node has it (24.7), else in `@noble/hashes`: the same key, more slowly and on the
 * main thread. The passphrase is taken in Unicode form NFC, as UTF-8.
 *
 * @param passphrase 12 to 1024 characters, or a function that asks for it
 * @param parameters PHC format: `$argon2id$v=19$m=65536,t=3,p=4$<salt>$<check>`, `$scrypt$ln=17,r=8,p=1$<salt>$<check>`
 * or `$pbkdf2-sha256$i=600000$<salt>$<check>`. Base64 without padding; the salt has 16 to 64 bytes; without the check
 * value, which other software won't have made, a mistyped passphrase gives another key without a word
 * @throws KeySourceError `ERR_KEY_SOURCE_CONFIG` for costs that are too low or too high; at load
 * `ERR_KEY_SOURCE_WRONG_PASSPHRASE`, `ERR_KEY_SOURCE_TIMEOUT`
 *
 * @example
 * ```ts
 * import { loadKeyring, makePassphraseParameters, passphraseSource } from '@keywright/envelope/sources';
 *
 * const passphrase = 'five words that nobody guesses';
 * const parameters = await makePassphraseParameters(passphrase); // once; keep it
 * const keyring = await loadKeyring(passphraseSource(passphrase, parameters));
 * keyring.activeKid; // 'v1'
 * ```
 */
export function passphraseSource(
  passphrase: Passphrase,
  parameters: string,
  options: PassphraseOptions = {},
): KeySource {
  const { costs, salt, check } = parseKdfParameters(parameters);
  if (typeof passphrase !== 'function') checkPassphrase(passphrase);
  const kid = kidOf(checkOptions(NAME, options));
  return defineSource({
    name: NAME,
    timeoutMs: options.timeoutMs ?? DEFAULT_PASSPHRASE_TIMEOUT_MS,
    classify: () => 'ERR_KEY_SOURCE_CONFIG', // the host's own function failed
    async read(signal) {
      const text = checkPassphrase(typeof passphrase === 'function' ? await passphrase() : passphrase);
      signal.throwIfAborted(); // whoever was asked took too long: nothing is derived
      const key = await deriveKey(text, salt, costs, signal);
      try {
        if (check !== undefined && !timingSafeEqual(checkValue(key), check)) {
          throw new KeySourceError('ERR_KEY_SOURCE_WRONG_PASSPHRASE', { context: { driver: NAME } });
        }
        return decodeMaterial([[kid, key]], kid, { driver: NAME });
      } finally {
        key.fill(0);
      }
    },
  });
}

/**
 * Parameters for {@link passphraseSource}: a fresh salt, the costs, and the check value of this passphrase.
 *
 * @param costs @default Argon2id with 64 MiB, 3 passes, 4 lanes (RFC 9106, section 4)
 * @throws KeySourceError `ERR_KEY_SOURCE_CONFIG`
 */
export async function makePassphraseParameters(passphrase: string, costs: KdfCosts = DEFAULT_COSTS): Promise<string> {
  const text = checkPassphrase(passphrase);
  const unchecked = { costs: checkOptions(NAME, costs, 'costs'), salt: randomBytes(16), check: undefined };
  const { salt, ...parsed } = parseKdfParameters(formatKdfParameters(unchecked));
  const key = await deriveKey(text, salt, parsed.costs);
  const check = checkValue(key);
  key.fill(0);
  return formatKdfParameters({ costs: parsed.costs, salt, check });
}

function checkPassphrase(value: unknown): string {
  if (typeof value === 'string' && value.isWellFormed()) {
    const normal = value.normalize('NFC');
    if (normal.length >= MIN_PASSPHRASE_LENGTH && normal.length <= MAX_PASSPHRASE_LENGTH) return normal;
  }
  const expected = `${MIN_PASSPHRASE_LENGTH} to ${MAX_PASSPHRASE_LENGTH} characters, well-formed`;
  throw configError(NAME, 'passphrase', expected, describe(value));
}

/** The check value that a keyring gives for this key. */
function checkValue(key: Uint8Array): Uint8Array {
  return createHmac('sha256', key).update('keywright/check-value').digest().subarray(0, CHECK_BYTES);
}
