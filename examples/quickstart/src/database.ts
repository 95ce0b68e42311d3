import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import createKnex, { type Knex } from 'knex';

/** A database for the demo. */
export interface DemoDatabase {
  readonly title: string;
  readonly knex: Knex;
  /** What lies on the disk, where the demo can read it. */
  rawFiles(): Promise<readonly Buffer[]>;
  close(): Promise<void>;
}

/** A SQLite file in a new folder of the system's temporary folder. */
export async function openSqlite(): Promise<DemoDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'keywright-quickstart-'));
  const filename = join(folder, 'app.sqlite');
  const knex = createKnex({ client: 'better-sqlite3', connection: { filename }, useNullAsDefault: true });
  return {
    title: 'SQLite, one file, no server',
    knex,
    rawFiles: async () => await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name)))),
    close: async () => {
      await knex.destroy();
      await rm(folder, { recursive: true });
    },
  };
}

/** A new database on a PostgreSQL that starts with the demo and ends with it. */
export async function openPostgres(): Promise<DemoDatabase> {
  const { createPostgresDatabase, startPostgres } = await import('@keywright/testkit');
  const server = await startPostgres();
  try {
    const database = await createPostgresDatabase(server.url);
    const knex = createKnex(database.knexConfig);
    const { rows } = await knex.raw('show server_version');
    return {
      title: `PostgreSQL ${rows[0].server_version}, started for this demo`,
      knex,
      rawFiles: async () => [],
      close: async () => {
        await knex.destroy();
        await server.stop();
      },
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}
