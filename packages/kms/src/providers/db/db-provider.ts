import type { KeyWrapper } from '@keywright/envelope';
import type { Knex } from 'knex';
import { checkInteger, checkProviderId, readOptions } from '../../arguments.ts';
import { defineProvider } from '../../define-provider.ts';
import { KmsError } from '../../errors.ts';
import type { KmsProvider } from '../../provider.ts';
import type { KmsProviderType } from '../../provider-type.ts';
import { databaseOf } from '../../tables/database.ts';
import { createKmsTables, type KmsTableOptions } from '../../tables/names.ts';
import { checkRoot } from './check-root.ts';
import { DbDriver } from './db-driver.ts';
import { SoftwareKeyRows } from './rows.ts';

/** Options of {@link dbProvider}. */
export interface DbProviderOptions {
  /** Id of the instance. Its keys are bound to it: the same database with another id has other keys. */
  readonly id: string;
  /** Database of the keys, with the tables that `migrateKmsTables()` makes. It stays the host's. */
  readonly knex: Knex;
  /** Holder of the root key that the keys are under: a keyring, Vault, AWS KMS or an HSM. */
  readonly root: KeyWrapper;
  readonly tables?: KmsTableOptions | undefined;
  /**
   * Unlocked keys that are kept in memory; for a while up to twice as many.
   * @default 1_000
   */
  readonly cachedKeys?: number | undefined;
  /**
   * How long an unlocked key is kept in memory, in milliseconds. Then the root key is asked again, so this is how long a
   * withdrawn right to use it goes unnoticed.
   * @default 300_000
   */
  readonly cachedKeyTtlMs?: number | undefined;
  /**
   * How long a key that was deleted by another process may still sign here, in milliseconds: a key in memory is used
   * without asking the database for so long. What is deleted by this provider stops at once. 0 asks for every signature.
   * @default 1_000
   */
  readonly recheckMs?: number | undefined;
  /**
   * Longest that a sealed key may take to be read and opened, in milliseconds.
   * @default 5_000
   */
  readonly unlockTimeoutMs?: number | undefined;
  /**
   * Longest that a call may take, in milliseconds.
   * @default 10_000
   */
  readonly timeoutMs?: number | undefined;
}

const DEFAULTS = Object.freeze({
  cachedKeys: 1_000,
  cachedKeyTtlMs: 300_000,
  recheckMs: 1_000,
  unlockTimeoutMs: 5_000,
});
const MAX_CACHED_KEYS = 100_000;

/**
 * Signs with keys that live in the host's database, each sealed under a data key of its own, and that under the root
 * key. A row that is moved to another tenant, provider or key does not open. Makes, takes over and gives out keys of
 * every algorithm.
 *
 * Signing stops when the database is lost, within `recheckMs`. Calls reject with `ERR_KMS_INTEGRITY` for a row that does
 * not open under `root`, `ERR_KMS_DATABASE`, and `ERR_KMS_NOT_MIGRATED` besides what {@link KmsProvider} names.
 *
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`, `ERR_KMS_UNSUPPORTED_DATABASE`
 *
 * @example
 * ```ts
 * import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
 * import { dbProvider, migrateKmsTables } from '@keywright/kms';
 * import createKnex from 'knex';
 *
 * const knex = createKnex({ client: 'better-sqlite3', connection: { filename: ':memory:' }, useNullAsDefault: true });
 * const root = createKeyring({ keys: { '2026-11': generateKeyBase64() }, activeKid: '2026-11' });
 * await migrateKmsTables({ knex });
 *
 * const provider = dbProvider({ id: 'db', knex, root });
 * const key = await provider.createKey({ tenantId: 'acme', keyId: 'invoices' });
 * await provider.sign(key, Buffer.from('an invoice')); // r ‖ s
 * ```
 */
export function dbProvider(options: DbProviderOptions): KmsProvider {
  const checked = readOptions(options, 'options', (given) => ({
    providerId: checkProviderId(given.id),
    knex: given.knex as Knex,
    root: checkRoot(given.root),
    tables: createKmsTables(given.tables),
    maxKeys: checkInteger(given.cachedKeys ?? DEFAULTS.cachedKeys, 'cachedKeys', 1, MAX_CACHED_KEYS),
    ttlMs: checkInteger(given.cachedKeyTtlMs ?? DEFAULTS.cachedKeyTtlMs, 'cachedKeyTtlMs'),
    recheckMs: checkInteger(given.recheckMs ?? DEFAULTS.recheckMs, 'recheckMs', 0),
    unlockTimeoutMs: checkInteger(given.unlockTimeoutMs ?? DEFAULTS.unlockTimeoutMs, 'unlockTimeoutMs'),
    timeoutMs: given.timeoutMs,
  }));
  const { knex, tables, timeoutMs, ...driver } = checked;
  databaseOf(knex);
  return defineProvider(new DbDriver(new SoftwareKeyRows(knex, tables), driver), { id: driver.providerId, timeoutMs });
}

/** `type: 'db'` of `kms.json`. Database and root key are the host's, which gives them to the registry. */
export const dbProviderType: KmsProviderType = Object.freeze<KmsProviderType>({
  type: 'db',
  schema: Object.freeze({
    type: 'object',
    properties: {
      cachedKeys: {
        type: 'integer',
        minimum: 1,
        maximum: MAX_CACHED_KEYS,
        default: DEFAULTS.cachedKeys,
        description: 'Unlocked keys that are kept in memory.',
      },
      cachedKeyTtlMs: {
        type: 'integer',
        minimum: 1,
        maximum: 2_147_483_647,
        default: DEFAULTS.cachedKeyTtlMs,
        description: 'How long an unlocked key is kept in memory, in milliseconds.',
      },
      recheckMs: {
        type: 'integer',
        minimum: 0,
        maximum: 2_147_483_647,
        default: DEFAULTS.recheckMs,
        description: 'How long a key that another process deleted may still sign here, in milliseconds.',
      },
    },
  }),
  create(entry, { knex, root, tables }) {
    if (knex === undefined) throw missing('services.knex', 'the knex instance that holds the keys of the db provider');
    if (root === undefined) throw missing('services.root', 'the KeyWrapper that the keys of the db provider are under');
    const { id, cachedKeys, cachedKeyTtlMs, recheckMs } = entry as { id: string } & Record<string, number | undefined>;
    return dbProvider({ id, knex, root, tables, cachedKeys, cachedKeyTtlMs, recheckMs });
  },
});

function missing(field: string, expected: string): KmsError {
  return new KmsError('ERR_KMS_CONFIG', { context: { field, expected, received: 'undefined' } });
}
