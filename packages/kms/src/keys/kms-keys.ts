import type { Logger } from '@keywright/envelope';
import type { Knex } from 'knex';
import { checkTenantId, invalidArgument, kindOf, readOptions } from '../arguments.ts';
import { type KmsMigrationReport, MIGRATION_COUNT, migrateUpTo } from '../tables/migrate.ts';
import { createKmsTables, type KmsTableOptions } from '../tables/names.ts';
import { KeyDatabase } from './connection.ts';
import type { KeyProviders } from './key-providers.ts';
import { type ReconcileOptions, reconcile } from './reconcile.ts';
import type { ReconcileReport } from './reconcile-report.ts';
import { TenantKeys } from './tenant-keys.ts';

export interface KmsKeysOptions {
  /** Where the rows are. In a transaction, keys can be read and sign, and none is made, moved or deleted. */
  readonly knex: Knex;
  /** A registry, or anything that finds providers by their ids. */
  readonly registry: KeyProviders;
  readonly tables?: KmsTableOptions | undefined;
  readonly logger?: Logger | undefined;
}

export interface TenantOptions {
  /** The providers of this tenant, such as `registry.forTenant(overlay)`. @default those of the whole service */
  readonly registry?: KeyProviders | undefined;
}

/**
 * The table of keys: which keys there are, who holds each, and how to find again what a crash left behind.
 *
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`, `ERR_KMS_UNSUPPORTED_DATABASE`
 *
 * @example
 * ```ts
 * import { createKmsKeys, type KmsProvider } from '@keywright/kms';
 * import type { Knex } from 'knex';
 *
 * export async function signedByAcme(knex: Knex, registry: { provider(id?: string): KmsProvider }): Promise<Uint8Array> {
 *   const keys = createKmsKeys({ knex, registry });
 *   await keys.migrate();
 *   const acme = keys.tenant('acme');
 *   const key = await acme.create({ alg: 'ES256' });
 *   return await acme.sign(key.keyId, Buffer.from('data'));
 * }
 * ```
 */
export function createKmsKeys(options: KmsKeysOptions): KmsKeys {
  const { knex, registry, tables, logger } = readOptions(options, 'options', (given) => ({
    knex: given.knex as Knex,
    registry: checkRegistry(given.registry),
    tables: createKmsTables(given.tables),
    logger: given.logger,
  }));
  return new KmsKeys(new KeyDatabase(knex, tables, logger), registry);
}

/** Made by {@link createKmsKeys}. Holds no state of its own: any number of processes may have one on the same tables. */
export class KmsKeys {
  readonly #db: KeyDatabase;
  readonly #providers: KeyProviders;

  /** Use {@link createKmsKeys}. */
  constructor(db: KeyDatabase, providers: KeyProviders) {
    this.#db = db;
    this.#providers = providers;
  }

  /** Makes the tables, or completes them; in a transaction, in it. As `migrateKmsTables()`. */
  async migrate(): Promise<KmsMigrationReport> {
    return await migrateUpTo(this.#db.any, this.#db.tables, MIGRATION_COUNT);
  }

  /** The keys of one tenant. @throws KmsError `ERR_KMS_INVALID_ARGUMENT` */
  tenant(tenantId: string, options?: TenantOptions): TenantKeys {
    const registry = options === undefined ? undefined : readOptions(options, 'options', (given) => given.registry);
    const providers = registry === undefined ? this.#providers : checkRegistry(registry);
    return new TenantKeys(this.#db, providers, checkTenantId(tenantId));
  }

  /**
   * Makes backends and rows agree again, of all tenants. Creates that ended without an answer are given up, with the keys
   * they may have made: nobody was given those. Deletes that failed are tried again. Keys that a backend lists and no row
   * knows are reported as `orphans`, and deleted only with `deleteOrphans`; active keys that a backend no longer has are
   * reported as `missing`. A create under way is never touched. Call it from a scheduler, every hour or so; several at
   * once do no harm.
   *
   * A provider that is away is reported among `failures`, and the others are gone through. What it costs: the list of
   * each backend, one look-up for each 100 keys in it, and one read of the public key for each active key that is not in
   * that list, or of every active key where a backend cannot list.
   *
   * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`, `ERR_KMS_IN_TRANSACTION`, `ERR_KMS_ABORTED`, `ERR_KMS_DATABASE`,
   * `ERR_KMS_PROVIDER_UNKNOWN` for the one that was asked for
   */
  async reconcile(options?: ReconcileOptions): Promise<ReconcileReport> {
    return await reconcile(this.#db, this.#providers, options);
  }
}

function checkRegistry(registry: unknown): KeyProviders {
  const { provider } = (registry ?? {}) as Partial<KeyProviders>;
  if (typeof provider === 'function') return registry as KeyProviders;
  throw invalidArgument('registry', 'a registry: an object with provider(id)', kindOf(registry));
}
