import { randomBytes } from 'node:crypto';
import { createKeyring, generateKeyBase64, type Keyring } from '@keywright/envelope';
import {
  createSecretStore,
  migrateSecretStore,
  rowSecuritySql,
  type SecretStore,
  type SecretStoreOptions,
} from '@keywright/secrets';
import { generateAuditSigner } from '@keywright/secrets/audit';
import { createPostgresDatabase } from '@keywright/testkit';
import createKnex, { type Knex } from 'knex';
import { Pool } from 'pg';

/** Connections that each contender has. */
export const CONNECTIONS = 16;

/** Schema whose tables are written by what is not ours: the same tables and indexes, made by the same migrations. */
export const BARE = 'bare';

/** A store on a database of its own, and the same database without a store. */
export interface StoreDatabase {
  readonly url: string;
  readonly knex: Knex;
  readonly root: Keyring;
  readonly store: SecretStore;
  /** A pool of the driver's, for what is not ours. */
  readonly pg: Pool;
  /** Another store on the same tables, by a pool of its own. */
  reopen(options: Partial<SecretStoreOptions>): SecretStore;
  /**
   * Turns row-level security on and opens a store of the application role on a pool of its own. Everything else here is
   * the superuser's, whom it does not concern.
   */
  secure(): Promise<{ readonly store: SecretStore; readonly knex: Knex }>;
  /** Another pool of knex. It is destroyed by {@link close}. */
  another(): Knex;
  close(): Promise<void>;
}

export async function openStoreDatabase(serverUrl: string): Promise<StoreDatabase> {
  const { url, drop } = await createPostgresDatabase(serverUrl);
  const pools: Knex[] = [];
  const stores: SecretStore[] = [];
  const roles: string[] = [];
  const another = (address: string = url): Knex => {
    const made = createKnex({ client: 'pg', connection: address, pool: { min: 0, max: CONNECTIONS } });
    pools.push(made);
    return made;
  };
  const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
  const reopen = (options: Partial<SecretStoreOptions>): SecretStore => {
    const made = createSecretStore({ knex: another(), root, ...options });
    stores.push(made);
    return made;
  };
  const knex = another();
  const store = reopen({ knex, audit: { signer: generateAuditSigner('bench').signer } });
  const pg = new Pool({ connectionString: url, max: CONNECTIONS });
  await store.migrate();
  await knex.raw('create schema ??', [BARE]);
  await migrateSecretStore({ knex, tables: { schema: BARE } });
  const secure = async (): Promise<{ readonly store: SecretStore; readonly knex: Knex }> => {
    const [app, maintenance] = await Promise.all([makeRole(knex, url, 'app'), makeRole(knex, url, 'maintenance')]);
    roles.push(app.role, maintenance.role);
    await knex.raw(rowSecuritySql({ appRole: app.role, maintenanceRole: maintenance.role }));
    const own = another(app.url);
    return { store: reopen({ knex: own, rowSecurity: {} }), knex: own };
  };
  return {
    url,
    knex,
    root,
    store,
    pg,
    reopen,
    secure,
    another: () => another(),
    close: async () => {
      await Promise.all(stores.map((made) => made.close()));
      for (const role of roles) await knex.raw('drop owned by ??', [role]);
      for (const role of roles) await knex.raw('drop role ??', [role]);
      await Promise.all([...pools.map((pool) => pool.destroy()), pg.end()]);
      await drop();
    },
  };
}

/** Roles are the server's, not the database's: their names are never used again. */
async function makeRole(
  knex: Knex,
  url: string,
  name: string,
): Promise<{ readonly role: string; readonly url: string }> {
  const role = `keywright_${name}_${randomBytes(6).toString('hex')}`;
  const password = randomBytes(18).toString('hex');
  await knex.raw(`create role ${role} login password '${password}'`);
  const address = new URL(url);
  address.username = role;
  address.password = password;
  return { role, url: address.href };
}
