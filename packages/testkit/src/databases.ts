import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Knex } from 'knex';
import { Client } from 'pg';

/** An empty database of its own for a test file. */
export interface TestDatabase {
  /** PostgreSQL: the address of its superuser. SQLite: the `file:` URL of the database file. */
  readonly url: string;
  /** For `knex(...)`. The pool is the caller's to destroy. */
  readonly knexConfig: Knex.Config;
  /** Removes the database, whoever is connected to it. */
  drop(): Promise<void>;
}

/** Creates an empty UTF-8 database on a server, as the superuser whose address `serverUrl` is. */
export async function createPostgresDatabase(serverUrl: string): Promise<TestDatabase> {
  const name = `keywright_test_${randomBytes(8).toString('hex')}`;
  // template0: nobody can be connected to it, which would fail the copy; and it is pristine on a server that was given.
  await execute(serverUrl, `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    knexConfig: { client: 'pg', connection: { connectionString: url.href }, pool: { min: 0, max: 10 } },
    drop: () => execute(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  };
}

/** Creates an empty SQLite database in WAL mode, in a fresh folder of the system's temporary folder. */
export async function createSqliteDatabase(): Promise<TestDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'keywright-sqlite-'));
  const filename = join(folder, 'test.sqlite');
  const pool: Knex.PoolConfig = {
    afterCreate(connection: { pragma(source: string): unknown }, done: (error: unknown, connection: unknown) => void) {
      connection.pragma('journal_mode = WAL');
      done(null, connection);
    },
  };
  return {
    url: pathToFileURL(filename).href,
    knexConfig: { client: 'better-sqlite3', connection: { filename }, useNullAsDefault: true, pool },
    drop: () => rm(folder, { recursive: true, force: true, maxRetries: 3 }),
  };
}

async function execute(serverUrl: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
