import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createKeyring, generateKeyBase64, type Keyring } from '@keywright/envelope';
import {
  createSecretStore,
  migrateSecretStore,
  rowSecuritySql,
  type SecretStore,
  type SecretStoreOptions,
  type TenantSecrets,
} from '@keywright/secrets';
import type { TestEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';

export type RoleName = 'owner' | 'app' | 'maintenance';

/** A store under row-level security: tables of an owner, an application role and a maintenance role, as documented. */
export interface IsolatedFixture {
  readonly engine: TestEngine['name'];
  readonly roles: Readonly<Record<RoleName, string>>;
  readonly passwords: Readonly<Record<string, string>>;
  /** Address of the database for a role; of the superuser without one. */
  url(role?: RoleName): string;
  /** A pool of that role, closed with the fixture. */
  connect(url: string, more?: Partial<Knex.Config>): Knex;
  readonly admin: Knex;
  readonly app: Knex;
  readonly maintenance: Knex;
  readonly root: Keyring;
  readonly store: SecretStore;
  /** Another store of the application role, unless told otherwise. */
  open(options?: Partial<SecretStoreOptions>): SecretStore;
  tenant(tenantId: string, trx?: Knex.Transaction): TenantSecrets;
  /** Runs a script as psql does, in one transaction. */
  psql(script: string, role?: RoleName): string;
  close(): Promise<void>;
}

export interface IsolatedOptions {
  readonly schema?: string;
  readonly prefix?: string;
  /** @default true */
  readonly secured?: boolean;
}

export async function openIsolated(engine: TestEngine, options: IsolatedOptions = {}): Promise<IsolatedFixture> {
  const database = await engine.createDatabase();
  const id = randomBytes(5).toString('hex');
  const password = randomBytes(9).toString('hex');
  const roles = { owner: `kw_owner_${id}`, app: `kw_app_${id}`, maintenance: `kw_maintenance_${id}` };
  const url = (role?: RoleName): string => {
    const address = new URL(database.url);
    if (role !== undefined) [address.username, address.password] = [roles[role], password];
    return address.href;
  };
  const pools: Knex[] = [];
  const connect = (connectionString: string, more: Partial<Knex.Config> = {}): Knex => {
    const knex = createKnex({ client: 'pg', connection: { connectionString }, pool: { min: 0, max: 5 }, ...more });
    pools.push(knex);
    return knex;
  };
  const psql = (script: string, role?: RoleName): string =>
    execFileSync('psql', ['-X', '-q', '-A', '-t', '-1', '-v', 'ON_ERROR_STOP=1', '-d', url(role), '-f', '-'], {
      input: script,
      encoding: 'utf8',
      stdio: 'pipe',
    });
  const schema = options.schema ?? 'public';
  const admin = connect(url());
  await admin.raw(`
    create role ${roles.owner} login password '${password}';
    create role ${roles.app} login password '${password}';
    create role ${roles.maintenance} login password '${password}';
    create schema if not exists ${schema};
    alter schema ${schema} owner to ${roles.owner};`);
  const tables = { prefix: options.prefix, schema: options.schema };
  const knex = connect(url('owner'));
  await migrateSecretStore({ knex, tables });
  if (options.secured !== false) {
    const sql = rowSecuritySql({ tables, appRole: roles.app, maintenanceRole: roles.maintenance });
    await knex.transaction((trx) => trx.raw(sql));
  }
  const app = connect(url('app'));
  const maintenance = connect(url('maintenance'));
  const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
  const stores: SecretStore[] = [];
  const open = (more: Partial<SecretStoreOptions> = {}): SecretStore => {
    const store = createSecretStore({ knex: app, root, tables, rowSecurity: { maintenance }, ...more });
    stores.push(store);
    return store;
  };
  const store = open();
  return {
    engine: engine.name,
    roles,
    passwords: Object.fromEntries(Object.values(roles).map((role) => [role, password])),
    url,
    connect,
    admin,
    app,
    maintenance,
    root,
    store,
    open,
    tenant: (tenantId, trx) => store.tenant(tenantId, { actor: 'tester', trx }),
    psql,
    close: async () => {
      await Promise.all(stores.map((opened) => opened.close()));
      await Promise.all(pools.filter((pool) => pool !== admin).map((pool) => pool.destroy()));
      for (const role of Object.values(roles)) await admin.raw('drop owned by ?? cascade', [role]);
      for (const role of Object.values(roles)) await admin.raw('drop role ??', [role]);
      await admin.destroy();
      await database.drop();
    },
  };
}

export const TENANT_TABLE_NAMES: readonly string[] = [
  'secret_tenant_keys',
  'secrets',
  'secret_versions',
  'secret_audit_log',
  'secret_changes',
];
