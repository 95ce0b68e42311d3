import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createKeyring } from '@keywright/envelope';
import { createSecretStore, type SecretStore, type TableOptions } from '@keywright/secrets';
import type { TestDatabase, TestEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { expect, onTestFinished } from 'vitest';

type FrozenValue = string | { readonly bytes: string } | { readonly json: unknown };

interface Frozen {
  readonly keys: Readonly<Record<string, string>>;
  readonly activeKid: string;
  /** Tenant → name → values by version. */
  readonly tenants: Readonly<Record<string, Readonly<Record<string, readonly FrozenValue[]>>>>;
}

const frozen = JSON.parse(fixture('001-initial.json')) as Frozen;

export const NAMES = ['001-initial', '002-complete'] as const;

/** A database of its own, removed after the test. */
export interface Place {
  readonly database: TestDatabase;
  readonly knex: Knex;
  /** Runs SQL with many statements. */
  run(sql: string): Promise<void>;
  store(tables?: TableOptions): SecretStore;
}

export async function openPlace(engine: TestEngine): Promise<Place> {
  const database = await engine.createDatabase();
  // knex writes a migration that fails to the console as well
  const knex = createKnex({ ...database.knexConfig, log: { error() {}, warn() {} } });
  const stores: SecretStore[] = [];
  onTestFinished(async () => {
    for (const store of stores) await store.close();
    await knex.destroy();
    await database.drop();
  });
  return {
    database,
    knex,
    run: (sql) => run(knex, sql),
    store: (tables) => {
      const { keys, activeKid } = frozen;
      const store = createSecretStore({ knex, root: createKeyring({ keys, activeKid }), tables });
      stores.push(store);
      return store;
    },
  };
}

/** A database as a store at schema `001-initial` has left it. */
export async function openFrozen(engine: TestEngine): Promise<Place> {
  const place = await openPlace(engine);
  await place.run(fixture(`001-initial.${engine.dialect}.sql`));
  return place;
}

/** Reads every version that the frozen store held, and its audit log. */
export async function expectFrozenData(store: SecretStore): Promise<void> {
  for (const [tenantId, secrets] of Object.entries(frozen.tenants)) {
    const tenant = store.tenant(tenantId, { actor: 'reader' });
    for (const [name, values] of Object.entries(secrets)) {
      for (const [index, value] of values.entries()) {
        expect((await tenant.get(name, { version: index + 1 })).value).toEqual(plain(value));
      }
      expect(await tenant.get(name)).toMatchObject({ version: values.length });
    }
  }
  const acme = store.tenant('acme', { actor: 'reader' });
  await expect(acme.get('gone')).rejects.toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
  const { items } = await acme.auditLog({ limit: 100 });
  expect(items.length).toBeGreaterThan(10);
  expect(items.filter(({ authentic }) => !authentic)).toEqual([]);
}

/** Every index and column, by another way than the store's: what a tool shows. */
export async function describeSchema(knex: Knex, dialect: 'sqlite' | 'postgres'): Promise<readonly string[]> {
  if (dialect === 'sqlite') {
    const rows = (await knex.raw(
      "select m.type || ' ' || m.name || ' ' || coalesce(group_concat(c.name || ' ' || c.type || c.pk || c.\"notnull\"), '') as line from sqlite_master m left join pragma_table_info(m.name) c where m.name not like 'sqlite_%' group by m.name order by m.name",
    )) as readonly { line: string }[];
    return rows.map(({ line }) => line);
  }
  const { rows } = (await knex.raw(`
    select table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '') as line
    from information_schema.columns where table_schema = 'public'
    union all select indexdef from pg_indexes where schemaname = 'public'
    union all select conrelid::regclass || ' ' || pg_get_constraintdef(oid) from pg_constraint where connamespace = 'public'::regnamespace
    order by 1`)) as { rows: readonly { line: string }[] };
  return rows.map(({ line }) => line);
}

function plain(value: FrozenValue): unknown {
  if (typeof value === 'string') return value;
  return 'bytes' in value ? new Uint8Array(Buffer.from(value.bytes, 'hex')) : value.json;
}

function fixture(name: string): string {
  return readFileSync(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url)), 'utf8');
}

async function run(knex: Knex, sql: string): Promise<void> {
  const client = knex.client as {
    acquireConnection(): Promise<{ exec?(sql: string): void; query?(sql: string): Promise<unknown> }>;
    releaseConnection(connection: unknown): Promise<void>;
  };
  const connection = await client.acquireConnection();
  try {
    if (connection.exec !== undefined) connection.exec(sql);
    else await connection.query?.(sql);
  } finally {
    await client.releaseConnection(connection);
  }
}
