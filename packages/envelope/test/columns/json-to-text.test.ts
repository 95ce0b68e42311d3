import { knexTable } from '@keywright/envelope/codecs/knex';
import { type ColumnCodecOptions, columnCodec } from '@keywright/envelope/columns';
import { encryptCredentials } from '@keywright/envelope/compat';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex from 'knex';
import { expect, it, onTestFinished } from 'vitest';
import { testKeyring } from '../support.ts';

const keyring = testKeyring();
type Connection = { id: string; credentials: { apiKey: string } | null };

// The recipe of docs/guides/encrypted-columns.md, "JSON columns become text".
const TO_TEXT: Readonly<Record<string, string>> = {
  postgres: 'ALTER TABLE connections ALTER COLUMN credentials TYPE text USING credentials::text',
  sqlite: "UPDATE connections SET credentials = json(credentials) WHERE typeof(credentials) = 'blob'",
};

describeEachEngine('a JSON column that becomes text', (engine) => {
  it('is read by processes of before and after, at every step', async () => {
    const database = await engine.createDatabase();
    const db = createKnex(database.knexConfig);
    onTestFinished(async () => {
      await db.destroy();
      await database.drop();
    });
    const postgres = engine.name === 'postgres';
    const table = (options: Partial<ColumnCodecOptions>) =>
      knexTable<Connection>({
        table: 'connections',
        columns: {
          credentials: columnCodec<unknown>({ keyring, table: 'connections', column: 'credentials', ...options }),
        },
      });
    const jsonAs = postgres ? 'object' : 'string';
    const old = table({ storage: 'json', jsonAs, legacy: 'allow', v1: 'allow' });
    const strict = table({ storage: 'json', jsonAs });
    const text = table({ storage: 'text' });
    await db.raw(`CREATE TABLE connections (id text PRIMARY KEY, credentials ${postgres ? 'jsonb' : 'JSON'})`);
    const json = postgres ? '?::jsonb' : 'jsonb(?)';
    const plant = (id: string, value: unknown) =>
      db.raw(`INSERT INTO connections VALUES (?, ${postgres ? json : '?'})`, [id, JSON.stringify(value)]);
    await plant('a', { apiKey: 'a' });
    await plant('b', encryptCredentials({ apiKey: 'b' }, keyring));
    for (const { id, credentials } of await old.select(db('connections')))
      await old.update(db, { id }, { credentials });
    await strict.insert(db, { id: 'c', credentials: { apiKey: 'c' } });
    if (!postgres)
      await db.raw(`UPDATE connections SET credentials = ${json} WHERE id = 'c'`.replace('?', 'credentials'));
    await db.raw(TO_TEXT[engine.name] as string);
    await text.insert(db, { id: 'd', credentials: { apiKey: 'd' } });
    await strict.insert(db, { id: 'e', credentials: { apiKey: 'e' } });
    const expected = ['a', 'b', 'c', 'd', 'e'].map((id) => ({ id, credentials: { apiKey: id } }));
    expect(await strict.select(db('connections').orderBy('id'))).toEqual(expected);
    expect(await text.select(db('connections').orderBy('id'))).toEqual(expected);
    const stored: { credentials: unknown }[] = await db('connections').where({ id: 'd' });
    expect(stored[0]?.credentials).toMatch(/^kw2\./);
  });
});
