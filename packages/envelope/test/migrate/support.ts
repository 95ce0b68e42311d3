import { createKeyring, isKeywrightError, type Keyring } from '@keywright/envelope';
import type { ColumnCodec, ColumnCodecOptions } from '@keywright/envelope/columns';
import { columnCodec } from '@keywright/envelope/columns';
import type { KnexRowSourceOptions } from '@keywright/envelope/migrate';
import { knexRowSource } from '@keywright/envelope/migrate';
import type { TestEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';

export interface Credentials {
  readonly apiKey: string;
}

export const KEYS: Readonly<Record<string, string>> = {
  v1: Buffer.alloc(32, 1).toString('base64'),
  v2: Buffer.alloc(32, 2).toString('base64'),
};

export function keyringOf(activeKid = 'v1', kids: readonly string[] = Object.keys(KEYS)): Keyring {
  return createKeyring({ keys: Object.fromEntries(kids.map((kid) => [kid, KEYS[kid] as string])), activeKid });
}

/** The codec of `connections.credentials`. */
export function codecOf(options: Partial<ColumnCodecOptions> = {}): ColumnCodec<Credentials | null> {
  return columnCodec({ keyring: keyringOf(), table: 'connections', column: 'credentials', ...options });
}

export interface Fixture {
  readonly knex: Knex;
  readonly url: string;
  close(): Promise<void>;
}

/** An empty database of an engine. */
export async function openDatabase(engine: TestEngine): Promise<Fixture> {
  const database = await engine.createDatabase();
  const knex = createKnex(database.knexConfig);
  return {
    knex,
    url: database.url,
    close: async () => {
      await knex.destroy();
      await database.drop();
    },
  };
}

/** `connections(id, credentials)` with text, plaintext in rows 1 to `rows`. */
export async function createConnections(knex: Knex, rows: number): Promise<void> {
  await knex.schema.createTable('connections', (table) => {
    table.integer('id').primary();
    table.text('credentials');
    table.integer('writes').notNullable().defaultTo(0);
  });
  await insertPlain(knex, 1, rows);
}

export async function insertPlain(knex: Knex, from: number, to: number): Promise<void> {
  const rows = Array.from({ length: to - from + 1 }, (_, index) => ({
    id: from + index,
    credentials: plainText(from + index),
  }));
  await knex.batchInsert('connections', rows, 300);
}

export function credentialsOf(id: number): Credentials {
  return { apiKey: `sk_test_${id}_🔑` };
}

export function plainText(id: number): string {
  return JSON.stringify(credentialsOf(id));
}

export function sourceOf(knex: Knex, options: Partial<KnexRowSourceOptions> = {}): ReturnType<typeof knexRowSource> {
  return knexRowSource({ knex, table: 'connections', column: 'credentials', key: 'id', ...options });
}

/** What a call came to: its result, or the code of its error. */
export async function codeOf(work: () => unknown): Promise<unknown> {
  try {
    return await work();
  } catch (error) {
    return isKeywrightError(error) ? error.code : error;
  }
}
