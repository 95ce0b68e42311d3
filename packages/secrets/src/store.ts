import type { Knex } from 'knex';
import { checkTenantId, invalidArgument, readOptions, SYSTEM_TENANT } from './arguments.ts';
import { StoreAudit } from './audit/store-audit.ts';
import { auditParts } from './audit-parts.ts';
import { feedParts, requireFeed } from './changes/store-parts.ts';
import type { TrimOptions } from './changes/trim.ts';
import type { ChangeWatch, WatchOptions } from './changes/watch.ts';
import { Connections, checkKnex } from './connections.ts';
import type { StoreCore } from './core.ts';
import { databaseError, typed } from './internal/database-error.ts';
import { safeLogger } from './internal/safe-logger.ts';
import { type Isolation, unenforced } from './isolation/isolation.ts';
import { checkRowSecurity, rowSecurity } from './isolation/rls.ts';
import { type KeyActorOptions, KeyOperations, type RetireKeyOptions } from './keys/key-operations.ts';
import type { KeyName, KeyReport, RootKeyReport, TenantKeyName, TenantKeyReport } from './keys/key-report.ts';
import type { Reencrypted, ReencryptTenantOptions } from './keys/reencrypt-tenant.ts';
import type { AuditKeyRotation } from './keys/rotate-audit-key.ts';
import type { RootRotation, RotateRootOptions } from './keys/rotate-root.ts';
import type { RotateTenantOptions, TenantRotation } from './keys/rotate-tenant.ts';
import type { ShredReceipt } from './keys/shred-receipt.ts';
import type { ShredTenantOptions } from './keys/shred-tenant.ts';
import { TenantKeys } from './keys/tenant-keys.ts';
import type { MigrationStatus } from './migrations/index.ts';
import { migrate, readRollback, rollback, status } from './migrations/migrate.ts';
import type { RollbackOptions } from './migrations/rollback.ts';
import { checkOptions, DEFAULTS, type SecretStoreOptions } from './options.ts';
import { makeReady } from './readiness.ts';
import { createTables, type Tables } from './tables.ts';
import { observeStore } from './telemetry/unsealed.ts';
import { type TenantOptions, TenantSecrets } from './tenant.ts';

/**
 * Secrets of many tenants in the host's own database. Make one with {@link createSecretStore} and keep it as long as
 * the knex instance it is on.
 */
export class SecretStore {
  /** The audit log of all tenants: sealing, verification, proofs, export, retention, erasure. */
  readonly audit: StoreAudit;
  readonly #core: StoreCore;
  readonly #keys: KeyOperations;
  #readying = new WeakMap<Knex, Promise<string>>();
  #ready = false;
  #unobserve: (() => void) | undefined;

  /** Use {@link createSecretStore}. */
  constructor(options: SecretStoreOptions) {
    const rootTimeoutMs = options.rootTimeoutMs ?? DEFAULTS.rootTimeoutMs;
    const tables = createTables(options.tables);
    const connections = new Connections(options.knex, options.auditKnex, isolationOf(options, tables));
    connections.checkAuditable();
    const logger = safeLogger(options.logger);
    this.#core = {
      connections,
      tables,
      root: options.root,
      rootTimeoutMs,
      ...auditParts(options, { connections, tables }),
      tenantKeys: new TenantKeys(options.root, tables, {
        maxKeys: options.cachedKeys ?? DEFAULTS.cachedKeys,
        ttlMs: options.cachedKeyTtlMs ?? DEFAULTS.cachedKeyTtlMs,
        rootTimeoutMs,
        coldKek: options.coldKek,
        onColdKek: options.onColdKek,
        telemetry: options.telemetry,
        onForgotten: (tenantId) => this.#core.readCache?.forgetTenant(tenantId),
      }),
      options,
      logger,
      ...feedParts(options, { connections, tables, logger, ready: () => this.#whenReady(undefined) }),
      ready: (trx) => this.#whenReady(trx),
    };
    this.audit = new StoreAudit(this.#core);
    this.#keys = new KeyOperations(this.#core);
    if (!options.knex.isTransaction) this.#unobserve = observeStore(this.#core);
  }

  /** Creates or upgrades the tables; see {@link migrateSecretStore}. The root key is not touched. */
  async migrate(options?: { readonly trx?: Knex.Transaction | undefined }): Promise<MigrationStatus> {
    return await migrate(this.#core.connections, this.#core.tables, readTransaction(options));
  }

  /** Which migrations have run; see {@link secretMigrationStatus}. */
  async migrationStatus(options?: { readonly trx?: Knex.Transaction | undefined }): Promise<MigrationStatus> {
    return await status(this.#core.connections, this.#core.tables, readTransaction(options));
  }

  /** Undoes migrations; see {@link rollbackSecretMigration}. */
  async rollbackMigration(
    options?: RollbackOptions & { readonly trx?: Knex.Transaction | undefined },
  ): Promise<MigrationStatus> {
    const { connections, tables } = this.#core;
    const done = await rollback(connections, tables, readTransaction(options), readRollback(options));
    // Keys that were dropped with their tables must not be used again.
    this.#ready = false;
    this.#readying = new WeakMap();
    this.#core.tenantKeys.clear();
    return done;
  }

  /**
   * Checks schema and root key now instead of at the first call: for a service's start-up.
   * @throws SecretsError `ERR_SECRETS_NOT_MIGRATED`, `ERR_SECRETS_SCHEMA_NEWER`, `ERR_SECRETS_ROOT_KEY_WRONG`,
   * `ERR_SECRETS_ROOT_KEY_MISSING`, `ERR_SECRETS_INTEGRITY` (the audit log's key was removed),
   * `ERR_SECRETS_INVALID_ARGUMENT` (`auditKnex` is on another database), `ERR_SECRETS_RLS_INEFFECTIVE`,
   * `ERR_SECRETS_DATABASE`
   */
  async ready(): Promise<void> {
    await this.#whenReady(undefined);
  }

  /**
   * One tenant's secrets, in the name of one actor. It is cheap: make one per request.
   * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`
   */
  tenant(tenantId: string, tenantOptions: TenantOptions): TenantSecrets {
    const { options } = this.#core;
    const services = {
      ...this.#core,
      maxValueBytes: options.maxValueBytes ?? DEFAULTS.maxValueBytes,
      maxVersions: options.maxVersions,
      preparedStatements: options.preparedStatements ?? true,
      telemetry: options.telemetry,
    };
    return new TenantSecrets(services, checkTenantId(tenantId), tenantOptions);
  }

  /**
   * Puts every tenant key under the root key that is active now. To rotate: add the new key to the keyring of every
   * process, then make it the active one, then call this; it can be killed and run again, and reads go on throughout.
   * The ids it returns as `retired` may leave the keyring: nothing can be put under them any more. Waits for open
   * transactions that have made a tenant key.
   *
   * @throws SecretsError `ERR_SECRETS_ROTATION_CONFLICT`, `ERR_SECRETS_ROOT_KEY_RETIRED`, `ERR_SECRETS_ABORTED`,
   * `ERR_SECRETS_INTEGRITY`, `ERR_SECRETS_ROOT_UNAVAILABLE`, `ERR_SECRETS_INVALID_ARGUMENT`, `ERR_SECRETS_DATABASE`
   */
  async rotateRoot(options: RotateRootOptions): Promise<RootRotation> {
    return await this.#keys.rotateRoot(options);
  }

  /**
   * Gives a tenant a new key and puts everything of theirs under it: data keys and what holds the pointers, not values.
   * It can be killed and run again, and goes on with the key that it had made; reads and writes go on throughout. Waits for
   * open transactions that write for the tenant. A row that was tampered with stops it: `ERR_SECRETS_INTEGRITY` names the secret; what was done stays, and
   * another call goes on when the row is restored or purged.
   *
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND` for a tenant without keys, `ERR_SECRETS_KEY_UNAVAILABLE`,
   * `ERR_SECRETS_INTEGRITY`, `ERR_SECRETS_LEASE_HELD`, `ERR_SECRETS_LEASE_LOST`, `ERR_SECRETS_ABORTED`, and as
   * {@link rotateRoot}
   */
  async rotateTenant(tenantId: string, options: RotateTenantOptions): Promise<TenantRotation> {
    return await this.#keys.rotateTenant(tenantId, options);
  }

  /**
   * Encrypts every version of a tenant anew, under a fresh data key: for data keys that leaked. Rotating the tenant's key
   * does not do that. Values are in this process's memory meanwhile. It can be killed and run again, and goes on where it
   * was, however long ago. Throws as {@link rotateTenant} does.
   */
  async reencryptTenant(tenantId: string, options: ReencryptTenantOptions): Promise<Reencrypted> {
    return await this.#keys.reencryptTenant(tenantId, options);
  }

  /**
   * Destroys all keys of a tenant: nothing of theirs can be read again, and they never get another key. The receipt says
   * what was destroyed and what this does not reach. Called again, it makes another receipt for the same; where the
   * signer failed, the keys are destroyed all the same.
   *
   * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` where `confirm` is not the tenant's id, `ERR_SECRETS_NOT_FOUND`
   * for a tenant without keys, `ERR_SECRETS_LEASE_HELD`, `ERR_SECRETS_SIGNER_UNAVAILABLE`, `ERR_SECRETS_DATABASE`
   */
  async shredTenant(tenantId: string, options: ShredTenantOptions): Promise<ShredReceipt> {
    return await this.#keys.shredTenant(tenantId, options);
  }

  /**
   * What still needs a key: of a root key the tenants whose keys are under it, of a tenant's key the rows. A root key that
   * nothing needs, that is not the active one here and that no rotation is going to is retired.
   *
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_INVALID_ARGUMENT`, `ERR_SECRETS_DATABASE`
   */
  async retireKey(key: string, options: RetireKeyOptions): Promise<RootKeyReport>;
  async retireKey(key: TenantKeyName, options: RetireKeyOptions): Promise<TenantKeyReport>;
  async retireKey(key: KeyName, options: RetireKeyOptions): Promise<KeyReport> {
    return await this.#keys.retireKey(key, options);
  }

  /**
   * Refuses a tenant's key until it is enabled, in every process: what is under it cannot be read, and the tenant cannot
   * write where it is the active one. Waits for nobody.
   *
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_KEY_UNAVAILABLE` for a destroyed one, `ERR_SECRETS_DATABASE`
   */
  async disableKey(key: TenantKeyName, options: KeyActorOptions): Promise<void> {
    await this.#keys.disableKey(key, options);
  }

  /**
   * Enables a disabled key: to decrypt, and to write where it is the tenant's newest and no other is active. Throws as
   * {@link disableKey} does.
   */
  async enableKey(key: TenantKeyName, options: KeyActorOptions): Promise<void> {
    await this.#keys.enableKey(key, options);
  }

  /**
   * Destroys a tenant's key that nothing needs any more, after {@link rotateTenant}. Waits for transactions that write
   * under it.
   *
   * @throws SecretsError `ERR_SECRETS_KEY_IN_USE`, `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_DATABASE`
   */
  async destroyKey(key: TenantKeyName, options: KeyActorOptions): Promise<void> {
    await this.#keys.destroyKey(key, options);
  }

  /**
   * Makes a new key for audit rows. Rows keep the one they were written with and stay authentic; other processes write
   * with theirs until they are started again. Throws as {@link rotateTenant} does.
   */
  async rotateAuditKey(options: KeyActorOptions): Promise<AuditKeyRotation> {
    return await this.#keys.rotateAuditKey(options);
  }

  /**
   * Committed changes of secrets, without values, from now on or from where another watch stopped; needs the option
   * `changeFeed`. No commit is skipped, however late: each change is handed out once, and again after a crash where the
   * cursor was not kept yet. With `tenantId` it asks as that tenant; without, it works across tenants. Watching is not
   * audited. What the database does not answer is asked again, and told (`gap`, `resumed`); a watch that was away for
   * longer than changes are kept is told too (`reset`). Ends with `signal` and with `close()`.
   *
   * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`; while iterating, what asking again cannot mend:
   * `ERR_SECRETS_RLS_BLIND`, `ERR_SECRETS_NOT_MIGRATED`, `ERR_SECRETS_DATABASE_CLOSED`, `ERR_SECRETS_DATABASE_PERMISSION`
   *
   * @example
   * ```ts
   * import type { SecretStore } from '@keywright/secrets';
   *
   * export async function follow(store: SecretStore, changed: (name: string) => void): Promise<void> {
   *   for await (const event of store.watch({ tenantId: 'acme' })) {
   *     if (event.type === 'change') changed(event.name);
   *   }
   * }
   * ```
   */
  watch(options?: WatchOptions): ChangeWatch {
    return requireFeed(this.#core.changeFeed).watch(options);
  }

  /**
   * Deletes changes that were committed longer than `keepMs` ago, in batches. Watches do it by themselves,
   * under row-level security those of stores with `rowSecurity.maintenance`; where there are none, call it now and then,
   * for instance every hour. Returns how many were deleted: none by the first call, which notes how far changes go now.
   *
   * @throws SecretsError `ERR_SECRETS_LEASE_HELD` (another process is at it), `ERR_SECRETS_LEASE_LOST`,
   * `ERR_SECRETS_ABORTED`, `ERR_SECRETS_RLS_BLIND`, `ERR_SECRETS_INVALID_ARGUMENT`, `ERR_SECRETS_DATABASE`
   */
  async trimChanges(options?: TrimOptions): Promise<number> {
    return await typed('trimChanges', () => requireFeed(this.#core.changeFeed).trim(options));
  }

  /** Ends every watch, forgets unwrapped keys and closes the store's own connections. The host's knex stays open. */
  async close(): Promise<void> {
    this.#unobserve?.();
    await this.audit.stop();
    this.#core.readCache?.close();
    await this.#core.changeFeed?.close();
    this.#core.tenantKeys.clear();
    await this.#core.connections.close();
  }

  /**
   * Waits on nobody else's connection: a call inside a transaction holds one, and a check that queues for the host's
   * pool may be waiting for exactly that one.
   */
  async #whenReady(trx: Knex.Transaction | undefined): Promise<void> {
    if (this.#ready) return;
    await typed('ready', () =>
      this.#core.connections.beside(trx, async (db) => {
        let pending = this.#readying.get(db);
        if (pending === undefined) {
          pending = makeReady(db, this.#core);
          this.#readying.set(db, pending);
        }
        try {
          await this.#checkAuditKnex(trx, await pending);
        } catch (error) {
          this.#readying.delete(db); // a database that was down at start-up must not be down for ever
          throw error;
        }
        // What was made ready in a transaction vanishes if it rolls back: remembered for that transaction only.
        if (db.isTransaction || this.#ready) return;
        this.#ready = true;
        this.#core.logger?.info(`Secret store ready; root key ${this.#core.root.activeKid}.`);
      }),
    );
  }

  /**
   * Both of the host's pools must be isolated, and lead to the same audit key; a database of another store has another
   * one. The transaction stands for the pool that it came from.
   */
  async #checkAuditKnex(trx: Knex.Transaction | undefined, auditKey: string): Promise<void> {
    const beside = this.#core.connections.besideAuditKnex(trx);
    if (beside === undefined) return;
    await this.#core.connections.verifyIsolation(beside);
    // In whatever state: another process may be rotating it.
    const find = (db: Knex) => this.#core.tenantKeys.find(db, SYSTEM_TENANT, [auditKey]);
    const seen = await this.#core.connections.scoped(beside, SYSTEM_TENANT, find).catch((error: unknown) => {
      if (databaseError(error, 'ready').code !== 'ERR_SECRETS_NOT_MIGRATED') throw error;
      return undefined;
    });
    if (seen !== undefined && seen.length > 0) return;
    throw invalidArgument('auditKnex', 'a knex instance on the same database as knex', 'one on another');
  }
}

/**
 * A secret store on the host's database. Nothing is read or written until the first call.
 *
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`, `ERR_SECRETS_UNSUPPORTED_DATABASE`
 *
 * @example
 * ```ts
 * import { keyringFromEnv } from '@keywright/envelope';
 * import { createSecretStore } from '@keywright/secrets';
 * import knex from 'knex';
 *
 * const db = knex({ client: 'better-sqlite3', connection: { filename: 'app.sqlite' }, useNullAsDefault: true });
 * const store = createSecretStore({ knex: db, root: keyringFromEnv() });
 * await store.migrate();
 * const acme = store.tenant('acme', { actor: 'user:42' });
 * await acme.save('stripe', 'sk_test_1');
 * const { value } = await acme.get('stripe');
 * ```
 */
export function createSecretStore(options: SecretStoreOptions): SecretStore {
  return new SecretStore(checkOptions(options));
}

function isolationOf({ knex, rowSecurity: asked }: SecretStoreOptions, tables: Tables): Isolation {
  return asked === undefined ? unenforced : rowSecurity(tables, checkRowSecurity(checkKnex(knex, 'knex'), asked));
}

function readTransaction(
  options: { readonly trx?: Knex.Transaction | undefined } | undefined,
): Knex.Transaction | undefined {
  return readOptions(options, 'options', ({ trx }) => trx);
}
