import type { KeyWrapper, Logger } from '@keywright/envelope';
import type { Knex } from 'knex';
import { invalidArgument, kindOf, readOptions } from './arguments.ts';
import { checkMaxVersions } from './attributes.ts';
import { type AuditOptions, checkAuditOptions } from './audit/options.ts';
import { checkReadCache, type ReadCacheOptions } from './cache/options.ts';
import { type ChangeFeedOptions, checkChangeFeed } from './changes/change-feed.ts';
import { checkListen, type ListenOptions } from './changes/notifier.ts';
import type { RowSecurityOptions } from './isolation/rls.ts';
import type { ColdKek } from './keys/tenant-keys.ts';
import type { TableOptions } from './tables.ts';
import { checkTelemetry } from './telemetry/check.ts';
import type { Telemetry } from './telemetry/telemetry.ts';

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
   * Versions kept of a secret that has no `maxVersions` of its own; those before them are removed by its next save.
   * @default all
   */
  readonly maxVersions?: number | undefined;
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
  /**
   * PostgreSQL's row-level security, as `rowSecuritySql()` sets it up: `{}` turns it on. Start-up proves that it holds.
   * @default off
   */
  readonly rowSecurity?: RowSecurityOptions | undefined;
  /**
   * Whether statements that are sent often are prepared under names (PostgreSQL only). To be turned off behind a pooler
   * that hands out connections by transaction and cannot hold names, as PgBouncer before 1.21.
   * @default true
   */
  readonly preparedStatements?: boolean | undefined;
  /**
   * Whether a tenant key that is not in memory may be unwrapped in a caller's transaction, which holds that open while a
   * remote root key is asked. `tenant.warm()` before the transaction avoids it; with `refuse` it is
   * `ERR_SECRETS_KEY_COLD`.
   * @default 'unwrap'
   */
  readonly coldKek?: 'unwrap' | 'refuse' | undefined;
  /** Hears of every tenant key that was not in memory in a caller's transaction, to count them. @default silence */
  readonly onColdKek?: ((cold: ColdKek) => void) | undefined;
  /** How the audit log is sealed, kept and passed on. @default {} */
  readonly audit?: AuditOptions | undefined;
  /**
   * Whether every change is recorded for `store.watch()`, in the transaction that makes it. Every process that writes to
   * these tables must have it, or its changes are not heard.
   * @default false
   */
  readonly changeFeed?: boolean | ChangeFeedOptions | undefined;
  /** Tells and hears of changes by PostgreSQL's notifications, instead of by polling alone. @default polling */
  readonly listen?: ListenOptions | undefined;
  /**
   * Keeps current versions of secrets in memory, decrypted, for reads outside of transactions; needs `changeFeed`, which
   * takes out of it what is changed elsewhere. Each read is audited as without it.
   * @default off
   */
  readonly readCache?: ReadCacheOptions | undefined;
  /** Spans and metrics, for instance `openTelemetry()` of `@keywright/secrets/opentelemetry`. @default none */
  readonly telemetry?: Telemetry | undefined;
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

const FLAGS = ['preparedStatements'] as const;

const WRAPPER_METHODS = ['wrapKey', 'unwrapKey', 'checkValue', 'verifyCheckValue'] as const;

/** A checked copy. @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkOptions(options: SecretStoreOptions | undefined): SecretStoreOptions {
  return readOptions(options, 'options', (given) => {
    const copy = { ...given };
    checkRoot(copy.root);
    const audit = checkAuditOptions(copy.audit);
    for (const name of FLAGS) checkFlag(copy[name], name);
    checkCold(copy);
    if (copy.maxVersions !== undefined) checkMaxVersions(copy.maxVersions);
    for (const name of Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]) {
      const value: unknown = copy[name];
      if (value === undefined || (Number.isSafeInteger(value) && Number(value) > 0 && Number(value) <= MAX_NUMBER)) {
        continue;
      }
      throw invalidArgument(name, 'an integer from 1 to 2^31 - 1', kindOf(value));
    }
    return Object.freeze({ ...copy, audit, ...checkFeed(copy) } as SecretStoreOptions);
  });
}

function checkFeed(given: Partial<SecretStoreOptions>): Partial<SecretStoreOptions> {
  const { listen, readCache, telemetry } = given;
  const changeFeed = checkChangeFeed(given.changeFeed);
  if (listen !== undefined && !changeFeed) throw invalidArgument('listen', 'nothing without changeFeed', 'an object');
  return {
    changeFeed,
    listen: listen === undefined ? undefined : checkListen(listen),
    readCache: readCache === undefined ? undefined : checkReadCache(readCache, changeFeed),
    telemetry: telemetry === undefined ? undefined : checkTelemetry(telemetry),
  };
}

function checkCold({ coldKek = 'unwrap', onColdKek }: Partial<SecretStoreOptions>): void {
  if (coldKek !== 'unwrap' && coldKek !== 'refuse') {
    throw invalidArgument('coldKek', "'unwrap' or 'refuse'", kindOf(coldKek));
  }
  if (onColdKek !== undefined && typeof onColdKek !== 'function') {
    throw invalidArgument('onColdKek', 'a function', kindOf(onColdKek));
  }
}

function checkFlag(flag: unknown, name: string): void {
  if (flag !== undefined && typeof flag !== 'boolean') throw invalidArgument(name, 'a boolean', kindOf(flag));
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
