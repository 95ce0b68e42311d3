import type { KeyWrapper } from '@keywright/envelope';
import type { Knex } from 'knex';
import { checkTenantId, checkText, invalidArgument } from './arguments.ts';
import { AuditLog } from './audit/audit-log.ts';
import { Connections } from './connections.ts';
import { typed } from './internal/database-error.ts';
import { lockedTransaction } from './internal/transactions.ts';
import { type RootRotation, type RotateRootOptions, rotateRoot } from './keys/rotate-root.ts';
import { TenantKeys } from './keys/tenant-keys.ts';
import { type MigrationStatus, runMigrations } from './migrations/index.ts';
import { DEFAULTS, type SecretStoreOptions } from './options.ts';
import { makeReady, type ReadinessParts } from './readiness.ts';
import { createTables, type TableOptions, type Tables } from './tables.ts';
import { type TenantOptions, TenantSecrets } from './tenant.ts';

/**
 * Secrets of many tenants in the host's own database. Make one with {@link createSecretStore} and keep it as long as
 * the knex instance it is on.
 */
export class SecretStore {
  readonly #connections: Connections;
  readonly #tables: Tables;
  readonly #root: KeyWrapper;
  readonly #audit: AuditLog;
  readonly #tenantKeys: TenantKeys;
  readonly #options: SecretStoreOptions;
  readonly #readying = new WeakMap<Knex, Promise<void>>();
  #ready = false;

  /** Use {@link createSecretStore}. */
  constructor(options: SecretStoreOptions) {
    this.#options = options;
    this.#connections = new Connections(options.knex, options.auditKnex);
    this.#tables = createTables(options.tables);
    this.#root = options.root;
    this.#audit = new AuditLog(this.#tables);
    this.#tenantKeys = new TenantKeys(options.root, this.#tables, {
      maxKeys: options.cachedKeys ?? DEFAULTS.cachedKeys,
      ttlMs: options.cachedKeyTtlMs ?? DEFAULTS.cachedKeyTtlMs,
      rootTimeoutMs: options.rootTimeoutMs ?? DEFAULTS.rootTimeoutMs,
    });
  }

  /** Creates or upgrades the tables; see {@link migrateSecretStore}. The root key is not touched. */
  async migrate(options: { readonly trx?: Knex.Transaction } = {}): Promise<MigrationStatus> {
    return await migrate(this.#connections, this.#tables, options.trx);
  }

  /**
   * Checks schema and root key now instead of at the first call: for a service's start-up.
   * @throws SecretsError `ERR_SECRETS_NOT_MIGRATED`, `ERR_SECRETS_SCHEMA_NEWER`, `ERR_SECRETS_ROOT_KEY_WRONG`,
   * `ERR_SECRETS_ROOT_KEY_MISSING`, `ERR_SECRETS_DATABASE`
   */
  async ready(): Promise<void> {
    await this.#whenReady(undefined);
  }

  /**
   * One tenant's secrets, in the name of one actor. It is cheap: make one per request.
   * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`
   */
  tenant(tenantId: string, options: TenantOptions): TenantSecrets {
    return new TenantSecrets(
      {
        connections: this.#connections,
        tables: this.#tables,
        audit: this.#audit,
        tenantKeys: this.#tenantKeys,
        maxValueBytes: this.#options.maxValueBytes ?? DEFAULTS.maxValueBytes,
        logger: this.#options.logger,
        ready: (trx) => this.#whenReady(trx),
      },
      checkTenantId(tenantId),
      options,
    );
  }

  /**
   * Puts every tenant key under the root key that is active now. To rotate: add the new key to the keyring of every
   * process, then make it the active one, then call this; it can be killed and run again, and reads go on throughout.
   * The ids it returns as `retired` may leave the keyring.
   */
  async rotateRoot(options: RotateRootOptions): Promise<RootRotation> {
    checkText(options?.actor, 'actor');
    return await typed('rotateRoot', async () => {
      // The store may have been opened before the key was activated.
      await makeReady(this.#connections.outside(undefined), this.#parts());
      return await rotateRoot(
        {
          knex: this.#connections.reader(undefined),
          dialect: this.#connections.dialect,
          tables: this.#tables,
          root: this.#root,
          audit: this.#audit,
          rootTimeoutMs: this.#options.rootTimeoutMs ?? DEFAULTS.rootTimeoutMs,
        },
        options,
      );
    });
  }

  /** Forgets unwrapped keys and closes the store's own connections. The host's knex stays open. */
  async close(): Promise<void> {
    this.#tenantKeys.clear();
    await this.#connections.close();
  }

  /**
   * Waits on nobody else's connection: a call inside a transaction holds one, and a check that queues for the host's
   * pool may be waiting for exactly that one.
   */
  async #whenReady(trx: Knex.Transaction | undefined): Promise<void> {
    if (this.#ready) return;
    const db = this.#connections.outside(trx);
    let pending = this.#readying.get(db);
    if (pending === undefined) {
      pending = typed('ready', () => makeReady(db, this.#parts()));
      this.#readying.set(db, pending);
    }
    try {
      await pending;
    } catch (error) {
      this.#readying.delete(db); // a database that was down at start-up must not be down for ever
      throw error;
    }
    // What was made ready in a transaction vanishes if it rolls back: remembered for that transaction only.
    if (db.isTransaction || this.#ready) return;
    this.#ready = true;
    this.#options.logger?.info(`Secret store ready; root key ${this.#root.activeKid}.`);
  }

  #parts(): ReadinessParts {
    return {
      tables: this.#tables,
      root: this.#root,
      tenantKeys: this.#tenantKeys,
      audit: this.#audit,
      rootTimeoutMs: this.#options.rootTimeoutMs ?? DEFAULTS.rootTimeoutMs,
    };
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
  if (typeof options?.knex !== 'function') throw invalidArgument('knex', 'a knex instance', typeof options?.knex);
  if (typeof options.root?.wrapKey !== 'function') {
    throw invalidArgument('root', 'a keyring or another KeyWrapper', typeof options.root);
  }
  for (const name of Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]) {
    const value: unknown = options[name];
    if (value === undefined || (Number.isSafeInteger(value) && Number(value) > 0)) continue;
    throw invalidArgument(name, 'a positive integer', typeof value);
  }
  return new SecretStore(Object.freeze({ ...options }));
}

/** Options of {@link migrateSecretStore}. */
export interface MigrateOptions {
  readonly knex: Knex;
  readonly tables?: TableOptions;
  /** Runs in this transaction instead of one of its own; the tables are there when it commits. */
  readonly trx?: Knex.Transaction;
}

/**
 * Creates or upgrades the tables of a store, without a root key: for a deployment job. Replicas may call it together.
 *
 * @throws SecretsError `ERR_SECRETS_FOREIGN_TABLE`, `ERR_SECRETS_SCHEMA_NEWER`, `ERR_SECRETS_UNSUPPORTED_DATABASE`,
 * `ERR_SECRETS_DATABASE_CLOSED`, `ERR_SECRETS_DATABASE`
 */
export async function migrateSecretStore(options: MigrateOptions): Promise<MigrationStatus> {
  const connections = new Connections(options.knex, undefined);
  return await migrate(connections, createTables(options.tables), options.trx);
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
      connections.reader(undefined),
      dialect,
      (own) => dialect.lockForMigration(own, tables),
      (own) => runMigrations(own, dialect, tables),
    );
  });
}
