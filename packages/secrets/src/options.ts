import type { KeyWrapper, Logger } from '@keywright/envelope';
import type { Knex } from 'knex';
import { invalidArgument, kindOf, readOptions } from './arguments.ts';
import type { TableOptions } from './tables.ts';

/** Options of {@link createSecretStore}. */
export interface SecretStoreOptions {
  /** The host's knex, on PostgreSQL (`pg`) or SQLite (`better-sqlite3`). A transaction is taken too. */
  readonly knex: Knex;
  /** Holder of the root key: a keyring, or a KMS whose key never leaves. */
  readonly root: KeyWrapper;
  /** Where the tables are. */
  readonly tables?: TableOptions | undefined;
  /**
   * Largest value, in bytes of its UTF-8 or binary form.
   * @default 1_048_576
   */
  readonly maxValueBytes?: number | undefined;
  /**
   * Tenant keys kept unwrapped in memory.
   * @default 1_000
   */
  readonly cachedKeys?: number | undefined;
  /**
   * How long a tenant key is kept unwrapped, in milliseconds.
   * @default 300_000
   */
  readonly cachedKeyTtlMs?: number | undefined;
  /**
   * How long a remote root key may take to wrap or unwrap one tenant key, in milliseconds; at most 2^31 - 1.
   * @default 2_000
   */
  readonly rootTimeoutMs?: number | undefined;
  /**
   * Pool for audit rows that must be committed while the caller's transaction is open (PostgreSQL only). It must reach
   * the same database by connections of its own; the host closes it. Required where `knex` runs on a `connectionPool` of
   * the driver's.
   * @default a pool of 2 connections made from the configuration of `knex` and shared by its stores, closed by
   * `store.close()`
   */
  readonly auditKnex?: Knex | undefined;
  /** @default silence */
  readonly logger?: Logger | undefined;
}

/** Defaults of {@link SecretStoreOptions}. */
export const DEFAULTS: Readonly<Record<'maxValueBytes' | 'cachedKeys' | 'cachedKeyTtlMs' | 'rootTimeoutMs', number>> =
  Object.freeze({
    maxValueBytes: 1_048_576,
    cachedKeys: 1_000,
    cachedKeyTtlMs: 300_000,
    rootTimeoutMs: 2_000,
  });

// The longest that a timer can wait; more would be taken for 1 ms.
const MAX_NUMBER = 2 ** 31 - 1;

const WRAPPER_METHODS = ['wrapKey', 'unwrapKey', 'checkValue', 'verifyCheckValue'] as const;

/** A checked copy. @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkOptions(options: SecretStoreOptions | undefined): SecretStoreOptions {
  return readOptions(options, 'options', (given) => {
    const copy = { ...given };
    checkRoot(copy.root);
    for (const name of Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]) {
      const value: unknown = copy[name];
      if (value === undefined || (Number.isSafeInteger(value) && Number(value) > 0 && Number(value) <= MAX_NUMBER)) {
        continue;
      }
      throw invalidArgument(name, 'an integer from 1 to 2^31 - 1', kindOf(value));
    }
    return Object.freeze(copy as SecretStoreOptions);
  });
}

function checkRoot(root: KeyWrapper | undefined): void {
  if (
    typeof root === 'object' &&
    root !== null &&
    typeof root.provider === 'string' &&
    typeof root.activeKid === 'string' &&
    WRAPPER_METHODS.every((method) => typeof root[method] === 'function')
  ) {
    return;
  }
  throw invalidArgument('root', 'a keyring or another KeyWrapper', kindOf(root));
}
