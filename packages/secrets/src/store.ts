import type { KeywrightError } from '@keywright/envelope';
import type { Knex } from 'knex';
import { checkTenantId, checkText, invalidArgument, kindOf, readOptions, SYSTEM_TENANT } from './arguments.ts';
import { AuditLog } from './audit/audit-log.ts';
import { Connections } from './connections.ts';
import type { StoreCore } from './core.ts';
import { databaseError, typed } from './internal/database-error.ts';
import { safeLogger } from './internal/safe-logger.ts';
import { lockedTransaction } from './internal/transactions.ts';
import { verifyRootKeys } from './keys/root-keys.ts';
import { type RootRotation, type RotateRootOptions, rotateRoot } from './keys/rotate-root.ts';
import { TenantKeys } from './keys/tenant-keys.ts';
import { type MigrationStatus, runMigrations } from './migrations/index.ts';
import { isRefusal } from './operations/refusals.ts';
import { checkOptions, DEFAULTS, type SecretStoreOptions } from './options.ts';
import { makeReady } from './readiness.ts';
import { createTables, type TableOptions, type Tables } from './tables.ts';
import { type TenantOptions, TenantSecrets } from './tenant.ts';

/**
 * Secrets of many tenants in the host's own database. Make one with {@link createSecretStore} and keep it as long as
 * the knex instance it is on.
 */
export class SecretStore {
  readonly #core: StoreCore;
  readonly #readying = new WeakMap<Knex, Promise<string>>();
  #ready = false;

  /** Use {@link createSecretStore}. */
  constructor(options: SecretStoreOptions) {
    const rootTimeoutMs = options.rootTimeoutMs ?? DEFAULTS.rootTimeoutMs;
    const connections = new Connections(options.knex, options.auditKnex);
    connections.checkAuditable();
    const tables = createTables(options.tables);
    this.#core = {
      connections,
      tables,
      root: options.root,
      rootTimeoutMs,
      audit: new AuditLog(tables),
      tenantKeys: new TenantKeys(options.root, tables, {
        maxKeys: options.cachedKeys ?? DEFAULTS.cachedKeys,
        ttlMs: options.cachedKeyTtlMs ?? DEFAULTS.cachedKeyTtlMs,
        rootTimeoutMs,
      }),
      options,
      logger: safeLogger(options.logger),
      ready: (trx) => this.#whenReady(trx),
    };
  }

  /** Creates or upgrades the tables; see {@link migrateSecretStore}. The root key is not touched. */
  async migrate(options?: { readonly trx?: Knex.Transaction | undefined }): Promise<MigrationStatus> {
    return await migrate(
      this.#core.connections,
      this.#core.tables,
      readOptions(options, 'options', ({ trx }) => trx),
    );
  }

  /**
   * Checks schema and root key now instead of at the first call: for a service's start-up.
   * @throws SecretsError `ERR_SECRETS_NOT_MIGRATED`, `ERR_SECRETS_SCHEMA_NEWER`, `ERR_SECRETS_ROOT_KEY_WRONG`,
   * `ERR_SECRETS_ROOT_KEY_MISSING`, `ERR_SECRETS_INTEGRITY` (the audit log's key was removed),
   * `ERR_SECRETS_INVALID_ARGUMENT` (`auditKnex` is on another database), `ERR_SECRETS_DATABASE`
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
    const services = { ...this.#core, maxValueBytes: options.maxValueBytes ?? DEFAULTS.maxValueBytes };
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
    const read = readOptions(options, 'options', ({ actor, onProgress, signal }) => ({
      actor: checkText(actor, 'actor'),
      onProgress: checkCallback(onProgress),
      signal: checkSignal(signal),
    }));
    await this.#whenReady(undefined);
    try {
      return await this.#rotate(read);
    } catch (thrown) {
      const error = databaseError(thrown, 'rotateRoot');
      if (isRefusal(error)) await typed('rotateRoot', () => this.#refuseRotation(read.actor, error));
      throw error;
    }
  }

  /** Forgets unwrapped keys and closes the store's own connections. The host's knex stays open. */
  async close(): Promise<void> {
    this.#core.tenantKeys.clear();
    await this.#core.connections.close();
  }

  async #rotate(options: RotateRootOptions): Promise<RootRotation> {
    // The store may have been opened before the key was activated.
    await verifyRootKeys(
      this.#core.connections.sweeping(),
      this.#core.tables,
      this.#core.root,
      this.#core.rootTimeoutMs,
    );
    return await rotateRoot(
      { ...this.#core, knex: this.#core.connections.sweeping(), dialect: this.#core.connections.dialect },
      options,
    );
  }

  async #refuseRotation(actor: string, { code, context }: KeywrightError): Promise<void> {
    const { tenantId, keyId, kid } = context;
    const facts = Object.entries({ tenant: tenantId, key: keyId, kid }).filter(([, fact]) => fact !== undefined);
    await this.#core.connections.outside(undefined, SYSTEM_TENANT, (db) =>
      this.#core.audit.record(db, {
        tenantId: SYSTEM_TENANT,
        actor,
        action: 'root.rotate',
        outcome: 'refused',
        context: { code, ...(Object.fromEntries(facts) as Record<string, string | number>) },
      }),
    );
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

  /** Both of the host's pools must lead to the same audit key; a database of another store has another one. */
  async #checkAuditKnex(trx: Knex.Transaction | undefined, auditKey: string): Promise<void> {
    const beside = this.#core.connections.besideAuditKnex(trx);
    if (beside === undefined) return;
    const find = (db: Knex) => this.#core.tenantKeys.findActive(db, SYSTEM_TENANT);
    const seen = await this.#core.connections.scoped(beside, SYSTEM_TENANT, find).catch((error: unknown) => {
      if (databaseError(error, 'ready').code !== 'ERR_SECRETS_NOT_MIGRATED') throw error;
      return undefined;
    });
    if (seen?.kek_id === auditKey) return;
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

/** Options of {@link migrateSecretStore}. */
export interface MigrateOptions {
  readonly knex: Knex;
  readonly tables?: TableOptions | undefined;
  /** Runs in this transaction instead of one of its own; the tables are there when it commits. */
  readonly trx?: Knex.Transaction | undefined;
}

/**
 * Creates or upgrades the tables of a store, without a root key: for a deployment job. Replicas may call it together.
 *
 * @throws SecretsError `ERR_SECRETS_FOREIGN_TABLE`, `ERR_SECRETS_SCHEMA_NEWER`, `ERR_SECRETS_UNSUPPORTED_DATABASE`,
 * `ERR_SECRETS_INVALID_ARGUMENT`, `ERR_SECRETS_DATABASE_CLOSED`, `ERR_SECRETS_DATABASE`
 */
export async function migrateSecretStore(options: MigrateOptions): Promise<MigrationStatus> {
  const { knex, tables, trx } = readOptions(options, 'options', (given) => ({ ...given }));
  return await migrate(new Connections(knex, undefined), createTables(tables), trx);
}

async function migrate(
  connections: Connections,
  tables: Tables,
  trx: Knex.Transaction | undefined,
): Promise<MigrationStatus> {
  return await typed('migrate', async () => {
    const inside = connections.callersTransaction(trx);
    const { dialect } = connections;
    if (inside !== undefined) {
      await dialect.lockForMigration(inside, tables);
      return await runMigrations(inside, dialect, tables);
    }
    // Replicas that start together take turns; the later ones find nothing to do.
    return await lockedTransaction(
      connections.raw(undefined),
      dialect,
      (own) => dialect.lockForMigration(own, tables),
      (own) => runMigrations(own, dialect, tables),
    );
  });
}

function checkCallback<Callback>(callback: Callback | undefined): Callback | undefined {
  if (callback === undefined || typeof callback === 'function') return callback;
  throw invalidArgument('onProgress', 'a function', kindOf(callback));
}

function checkSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw invalidArgument('signal', 'an AbortSignal', kindOf(signal));
}
