import { createKeyring, generateKeyBase64, type Keyring, type KeyWrapper } from '@keywright/envelope';
import { createSecretStore, type SecretStore, type SecretStoreOptions, type TenantSecrets } from '@keywright/secrets';
import type { TestDatabase, TestEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';

/** A migrated store on a database of its own. */
export interface Fixture {
  readonly engine: TestEngine['name'];
  readonly url: string;
  readonly knexConfig: Knex.Config;
  readonly knex: Knex;
  readonly keys: Readonly<Record<string, string>>;
  readonly root: Keyring;
  readonly store: SecretStore;
  tenant(tenantId: string, trx?: Knex.Transaction): TenantSecrets;
  /** Another store on the same database and pool, as another process would have one. */
  reopen(root: KeyWrapper, options?: Partial<SecretStoreOptions>): SecretStore;
  /** The same database without its rows, under another root key: quicker than another database. */
  renew(): Promise<Fixture>;
  close(): Promise<void>;
}

// those that refer to others first
const TABLES = [
  'secret_versions',
  'secrets',
  'secret_tenant_keys',
  'secret_root_keys',
  'secret_audit_log',
  'secret_audit_tree',
  'secret_audit_leaves',
  'secret_audit_checkpoints',
  'secret_audit_sinks',
  'secret_changes',
  'secret_leases',
];

export async function openFixture(engine: TestEngine, options: Partial<SecretStoreOptions> = {}): Promise<Fixture> {
  const fixture = await openUnmigrated(engine, options);
  await fixture.store.migrate();
  return fixture;
}

export async function openUnmigrated(engine: TestEngine, options: Partial<SecretStoreOptions> = {}): Promise<Fixture> {
  const database = await engine.createDatabase();
  return fixtureOn(engine, database, createKnex(database.knexConfig), options);
}

function fixtureOn(
  engine: TestEngine,
  database: TestDatabase,
  knex: Knex,
  options: Partial<SecretStoreOptions>,
): Fixture {
  const keys = { v1: generateKeyBase64() };
  const root = createKeyring({ keys, activeKid: 'v1' });
  const stores: SecretStore[] = [];
  const open = (wrapper: KeyWrapper, more: Partial<SecretStoreOptions> = {}): SecretStore => {
    const store = createSecretStore({ knex, root: wrapper, ...options, ...more });
    stores.push(store);
    return store;
  };
  const closeStores = async (): Promise<void> => {
    await Promise.all(stores.map((opened) => opened.close()));
  };
  const store = open(root);
  return {
    engine: engine.name,
    url: database.url,
    knexConfig: database.knexConfig,
    knex,
    keys,
    root,
    store,
    tenant: (tenantId, trx) =>
      store.tenant(tenantId, trx === undefined ? { actor: 'tester' } : { actor: 'tester', trx }),
    reopen: open,
    renew: async () => {
      await closeStores();
      for (const table of TABLES) await knex(table).delete();
      return fixtureOn(engine, database, knex, options);
    },
    close: async () => {
      await closeStores();
      await knex.destroy();
      await database.drop();
    },
  };
}

/** A key wrapper that answers as `root` does, but for what is changed. */
export function wrapperOf(root: KeyWrapper, change: Partial<KeyWrapper> = {}): KeyWrapper {
  return {
    provider: 'test',
    activeKid: root.activeKid,
    wrapKey: (key, options) => root.wrapKey(key, options),
    unwrapKey: (wrapped, options) => root.unwrapKey(wrapped, options),
    checkValue: (kid) => root.checkValue(kid),
    verifyCheckValue: (kid, value) => root.verifyCheckValue(kid, value),
    ...change,
  };
}

/** The error that a promise is rejected with; a promise that is fulfilled fails the test. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string; retryable?: boolean }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected a rejection');
}

/** Until a statement on this PostgreSQL database waits for a lock. */
export async function untilWaiting(knex: Knex): Promise<void> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; ) {
    const { rows } = (await knex.raw(
      'select 1 from pg_locks l join pg_database d on d.oid = l.database where not granted and datname = current_database()',
    )) as { readonly rows: readonly unknown[] };
    if (rows.length > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('nobody waits');
}

export interface AuditRow {
  readonly tenant_id: string;
  readonly action: string;
  readonly outcome: string;
  readonly actor: string;
  readonly secret_name: string | null;
  readonly version: number | null;
  readonly context: string;
}

/** Audit rows of a tenant in the order they were written, read with plain SQL. */
export async function auditRows(knex: Knex, tenantId: string): Promise<readonly AuditRow[]> {
  return (await knex('secret_audit_log').where({ tenant_id: tenantId }).orderBy('id')) as AuditRow[];
}
