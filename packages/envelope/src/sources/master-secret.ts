import { hkdfSync } from 'node:crypto';
import { KEY_BYTES } from '../keys.ts';
import { describe } from '../keywright-error.ts';
import type { Logger } from '../logger.ts';
import { checkMethods, checkOptions, configError, defineSource, kidOf } from './define.ts';
import { KeySourceError } from './errors.ts';
import { decodeMaterial } from './material.ts';
import type { KeySource } from './source.ts';

const NAME = 'master-secret';
const MIN_SECRET_LENGTH = 32;
const SALT = 'keywright/master-secret';
const WARNING =
  'The encryption key is derived from a master secret. This is for development: keep production keys in a secrets manager.';

export interface MasterSecretOptions {
  /** At least 32 characters. */
  readonly secret: string;
  /**
   * Id of the derived key. It goes into the derivation: another kid is another key.
   * @default 'v1'
   */
  readonly kid?: string | undefined;
  /** @default 'sha256' */
  readonly hash?: 'sha256' | 'sha512' | undefined;
  /**
   * HKDF salt, UTF-8: for a key that other software derived.
   * @default 'keywright/master-secret'
   */
  readonly salt?: string | undefined;
  /**
   * HKDF info, UTF-8: for a key that other software derived.
   * @default 'keywright/1/' followed by the kid
   */
  readonly info?: string | undefined;
  /** @default false: refused where NODE_ENV is `production` */
  readonly allowInProduction?: boolean | undefined;
  /**
   * Where NODE_ENV is read.
   * @default process.env
   */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Is warned at every load. @default a process warning with code `KEYWRIGHT_MASTER_SECRET` */
  readonly logger?: Logger | undefined;
}

/**
 * For development: one key, derived from a master secret by HKDF (RFC 5869). It cannot be rotated apart from what else
 * hangs on that secret, and whoever reads the environment has it.
 *
 * @throws KeySourceError `ERR_KEY_SOURCE_CONFIG` for a secret that is too short; `ERR_KEY_SOURCE_NOT_FOR_PRODUCTION` at load
 *
 * @example
 * ```ts
 * import { loadKeyring, masterSecretSource } from '@keywright/envelope/sources';
 *
 * const secret = 'only-for-development-0123456789abcdef';
 * const logger = { info() {}, warn: (message: string) => console.warn(message), error() {} };
 * const keyring = await loadKeyring(masterSecretSource({ secret, logger }));
 * keyring.activeKid; // 'v1'
 * ```
 */
export function masterSecretSource(options: MasterSecretOptions): KeySource {
  const {
    secret,
    hash = 'sha256',
    salt = SALT,
    allowInProduction = false,
    env = process.env,
    logger,
  } = checkOptions(NAME, options);
  const kid = kidOf(options);
  const info = options.info ?? `keywright/1/${kid}`;
  // HKDF would take a lone surrogate for U+FFFD, so that two secrets make one key.
  if (typeof secret !== 'string' || secret.length < MIN_SECRET_LENGTH || !secret.isWellFormed()) {
    throw configError(NAME, 'secret', `at least ${MIN_SECRET_LENGTH} characters, well formed`, describe(secret));
  }
  if (hash !== 'sha256' && hash !== 'sha512') throw configError(NAME, 'hash', 'sha256 or sha512', describe(hash));
  for (const [argument, text] of [['salt', salt] as const, ['info', info] as const]) {
    if (typeof text === 'string' && text.isWellFormed()) continue;
    throw configError(NAME, argument, 'a well-formed text', describe(text));
  }
  if (logger !== undefined) checkMethods(NAME, 'logger', logger, 'warn');
  return defineSource({
    name: NAME,
    timeoutMs: undefined,
    classify: () => 'ERR_KEY_SOURCE_CONFIG',
    async read() {
      if (env.NODE_ENV === 'production' && allowInProduction !== true) {
        throw new KeySourceError('ERR_KEY_SOURCE_NOT_FOR_PRODUCTION', { context: { driver: NAME } });
      }
      if (logger === undefined) process.emitWarning(WARNING, { code: 'KEYWRIGHT_MASTER_SECRET' });
      else logger.warn(WARNING);
      const key = new Uint8Array(hkdfSync(hash, secret, salt, info, KEY_BYTES));
      const material = decodeMaterial([[kid, key]], kid, { driver: NAME });
      key.fill(0);
      return material;
    },
  });
}
