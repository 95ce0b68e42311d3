import { createKeyring, generateKeyBase64, type Keyring } from '@keywright/envelope';
import { type DbProviderOptions, dbProvider, type KmsProvider, migrateKmsTables } from '@keywright/kms';
import type { TestEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';

/** A migrated database of its own, and `db` providers on it. */
export interface DbFixture {
  readonly knex: Knex;
  readonly root: Keyring;
  readonly provider: KmsProvider;
  /** SQL statements so far. */
  statements(): number;
  /** Another provider on the same table, as another process has one. */
  open(options?: Partial<DbProviderOptions>): KmsProvider;
  close(): Promise<void>;
}

export async function openDbFixture(engine: TestEngine, options: Partial<DbProviderOptions> = {}): Promise<DbFixture> {
  const database = await engine.createDatabase();
  const knex = createKnex(database.knexConfig);
  let statements = 0;
  knex.on('query', () => void statements++);
  await migrateKmsTables({ knex });
  const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
  const providers: KmsProvider[] = [];
  const open = (more: Partial<DbProviderOptions> = {}): KmsProvider => {
    const provider = dbProvider({ id: 'db', knex, root, ...options, ...more });
    providers.push(provider);
    return provider;
  };
  return {
    knex,
    root,
    provider: open(),
    statements: () => statements,
    open,
    close: async () => {
      await Promise.all(providers.map((provider) => provider.close()));
      await knex.destroy();
      await database.drop();
    },
  };
}

/** The whole table, as whoever steals the database has it. */
export async function dumped(knex: Knex): Promise<Buffer> {
  const rows = (await knex('kms_software_keys').select('*')) as readonly Record<string, unknown>[];
  const values = rows
    .flatMap((row) => Object.entries(row))
    .map(([name, value]) => {
      if (Buffer.isBuffer(value)) return Buffer.concat([Buffer.from(`${name}:`), value]);
      return Buffer.from(`${name}:${typeof value === 'string' ? value : JSON.stringify(value)}`);
    });
  return Buffer.concat(values);
}
