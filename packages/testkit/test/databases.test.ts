import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import knex, { type Knex } from 'knex';
import { afterEach, expect, it, vi } from 'vitest';
import { createSqliteDatabase, type TestDatabase } from '../src/databases.ts';
import { describeEachEngine } from '../src/engines.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function connect(database: TestDatabase): Knex {
  const db = knex({ ...database.knexConfig, log: { error() {}, warn() {} } });
  cleanups.push(database.drop, () => db.destroy());
  return db;
}

describeEachEngine('a test database', (engine) => {
  it('is empty, and what is written to one is not in another', async () => {
    const [first, second] = [connect(await engine.createDatabase()), connect(await engine.createDatabase())];
    await first.schema.createTable('t', (table) => table.integer('n'));
    await first('t').insert({ n: 1 });
    expect(await first('t').select('n')).toEqual([{ n: 1 }]);
    expect(await second.schema.hasTable('t')).toBe(false);
  });

  it('can be dropped while connections are open, and again', async () => {
    const database = await engine.createDatabase();
    const db = connect(database);
    await db.raw('SELECT 1');
    await database.drop();
    await database.drop();
    if (engine.name === 'postgres') await expect(db.raw('SELECT 1')).rejects.toMatchObject({ code: '3D000' });
    else expect(existsSync(dirname(fileURLToPath(database.url)))).toBe(false);
  });
});

it('a SQLite database is in WAL mode, waits for locks and has one connection', async () => {
  const db = connect(await createSqliteDatabase());
  expect(await db.raw('PRAGMA journal_mode')).toEqual([{ journal_mode: 'wal' }]);
  expect(await db.raw('PRAGMA busy_timeout')).toEqual([{ timeout: 5000 }]);
  expect((db.client as { pool: { max: number } }).pool.max).toBe(1);
});
