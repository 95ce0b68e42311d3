import { backfill, census, finalise } from '@keywright/envelope/migrate';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { codecOf, codeOf, createConnections, type Fixture, openDatabase, plainText, sourceOf } from './support.ts';

const reading = codecOf({ legacy: 'allow' });
const from = { plaintext: true } as const;

interface Query {
  readonly sql: string;
  readonly bindings: readonly unknown[];
}

describeEachEngine('a knex source of a table that is not plain', (engine) => {
  let fixture: Fixture;
  let knex: Knex;
  beforeEach(async () => {
    fixture = await openDatabase(engine);
    knex = fixture.knex;
  });
  afterEach(async () => {
    await fixture?.close();
  });

  it('passes no row by whose key has names of its own result', async () => {
    const names = ['tenant', 'stored', 'k1', 'k0'];
    await knex.schema.createTable('connections', (table) => {
      for (const name of names) table.integer(name).notNullable();
      table.text('credentials');
      table.primary(names);
    });
    const keys = Array.from({ length: 16 }, (_row, index) =>
      names.map((_name, place) => ((index * 7 + 3) >> place) & 1),
    );
    for (const key of new Set(keys.map((parts) => JSON.stringify(parts)))) {
      const parts = JSON.parse(key) as number[];
      const row = Object.fromEntries(names.map((name, index) => [name, parts[index]]));
      await knex('connections').insert({ ...row, credentials: plainText(1) });
    }
    for (const key of [names, names.toReversed()]) {
      expect(await census({ codec: reading, source: sourceOf(knex, { key }), batchRows: 1 })).toMatchObject({
        rows: 16,
      });
    }
    const source = sourceOf(knex, { key: names });
    expect(await backfill({ codec: reading, source, from, batchRows: 3 })).toMatchObject({ converted: 16 });
  });

  it('reads a page by the index, in whatever order the columns of the key are given', async () => {
    await knex.raw(
      'create table connections (tenant varchar(9) not null, id integer not null, credentials text, primary key (tenant, id))',
    );
    const rows = Array.from({ length: 3000 }, (_, id) => ({ tenant: `t${id % 7}`, id, credentials: plainText(id) }));
    await knex.batchInsert('connections', rows, 300);
    await knex.raw('analyze connections');
    const queries: Query[] = [];
    knex.on('query', (query: Query) => queries.push(query));
    for (const key of [
      ['tenant', 'id'],
      ['id', 'tenant'],
    ]) {
      const source = sourceOf(knex, { key });
      const { cursor } = await source.scan({ limit: 100 });
      await source.scan({ limit: 100, after: cursor });
      const plan = await planOf(knex, queries.at(-1) as Query);
      expect(plan).toMatch(engine.name === 'sqlite' ? /SEARCH t USING INDEX .*\(tenant,id\)>/ : /Index Cond: \(ROW\(/);
      expect(plan).not.toMatch(/sort|b-tree/i);
    }
  });

  if (engine.name === 'sqlite') {
    it('keeps a change of case by a writer where the column ignores case', async () => {
      await knex.raw('create table connections (id integer primary key, credentials text collate nocase)');
      await knex.raw(`insert into connections values (1, '{"apiKey":"abc"}')`);
      const source = sourceOf(knex);
      const { rows } = await source.scan({ limit: 5 });
      await knex.raw(`update connections set credentials = '{"apiKey":"ABC"}'`);
      expect(await source.compareAndSet(rows.map((row) => ({ row, next: 'next' })))).toEqual([false]);
      expect(await knex('connections').pluck('credentials')).toEqual(['{"apiKey":"ABC"}']);
    });

    it.each([
      ['id collate binary', ['id']],
      ['id collate binary, part', ['part', 'id']],
    ])('sees every row of a key that is unique under another collation, by %s', async (columns, key) => {
      await knex.raw(
        'create table connections (id text collate nocase not null, part integer default 1 not null, credentials text)',
      );
      await knex.raw(`create unique index exactly on connections (${columns})`);
      for (const id of ['a', 'A', 'b', 'B']) await knex('connections').insert({ id, credentials: '{"apiKey":"same"}' });
      const source = sourceOf(knex, { key });
      expect(await backfill({ codec: reading, source, from, batchRows: 1 })).toMatchObject({ converted: 4 });
      for (const row of (await knex('connections')) as { id: string; part: number; credentials: string }[]) {
        const bound = key.length === 1 ? { id: row.id } : { part: row.part, id: row.id };
        expect(reading.decode(row.credentials, { key: bound })).toEqual({ apiKey: 'same' });
      }
    });

    it('refuses keys that are no UTF-8, behind which a cursor would pass rows by', async () => {
      await knex.raw('create table connections (id text primary key not null, credentials text)');
      for (const hex of ['61', '80', 'c3a9', 'e282ac']) {
        await knex.raw(`insert into connections values (cast(x'${hex}' as text), 'x')`);
      }
      const run = codeOf(() => census({ codec: reading, source: sourceOf(knex), batchRows: 1 }));
      expect(await run).toBe('ERR_COLUMN_SOURCE_KEY');
    });

    it('tells apart which of two alike keys was set', async () => {
      await knex.raw('create table connections (id primary key not null, credentials text)');
      await knex.raw("insert into connections values (1, 'a'), ('1', 'a')");
      const source = sourceOf(knex);
      const { rows } = await source.scan({ limit: 5 });
      await knex.raw("update connections set credentials = 'by a writer' where id = '1'");
      expect(await source.compareAndSet(rows.map((row) => ({ row, next: 'next' })))).toEqual([true, false]);
    });

    it('binds to a tenant beyond 2^53', async () => {
      await knex.raw('create table connections (id integer primary key, tenant integer, credentials text)');
      await knex.raw(`insert into connections values (1, 9007199254740993, 'x')`);
      const { rows } = await sourceOf(knex, { tenantColumn: 'tenant' }).scan({ limit: 5 });
      expect(rows[0]?.tenant).toBe('9007199254740993');
    });
    return;
  }

  it('refuses a table with rows that its unique index does not cover, and takes a partitioned one', async () => {
    await createConnections(knex, 2);
    await knex.raw('create table child () inherits (connections)');
    await knex.raw(`insert into child values (2, '{"apiKey":"in a child"}', 0)`);
    const finalised = await codeOf(() => finalise({ codec: codecOf(), source: sourceOf(knex), from }));
    expect(finalised).toBe('ERR_COLUMN_SOURCE_KEY');
    await knex.raw('create table parted (id integer primary key, credentials text) partition by hash (id)');
    for (const part of [0, 1, 2]) {
      await knex.raw(`create table parted_${part} partition of parted for values with (modulus 3, remainder ${part})`);
    }
    const ids = Array.from({ length: 50 }, (_, index) => index - 20);
    await knex('parted').insert(ids.map((id) => ({ id, credentials: plainText(id) })));
    const source = sourceOf(knex, { table: 'parted' });
    expect(await backfill({ codec: reading, source, from, batchRows: 7 })).toMatchObject({ converted: 50 });
    const { constraint } = await finalise({ codec: codecOf(), source, from });
    for (const sql of [...(constraint?.add ?? []), ...(constraint?.validate ?? [])]) await knex.raw(sql);
    await expect(knex('parted').insert({ id: 99, credentials: 'x' })).rejects.toMatchObject({ code: '23514' });
  });

  it('refuses a key that is unique under another collation than its column has', async () => {
    await knex.raw("create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
    await knex.raw('create table connections (id text collate nocase not null, credentials text)');
    await knex.raw('create unique index exactly on connections (id collate "C")');
    await knex('connections').insert(['a', 'A'].map((id) => ({ id, credentials: plainText(1) })));
    expect(await codeOf(() => sourceOf(knex).scan({ limit: 1 }))).toBe('ERR_COLUMN_SOURCE_KEY');
  });
});

async function planOf(knex: Knex, { sql, bindings }: Query): Promise<string> {
  // Bindings stand in what a knex has sent already, so each goes in as a literal.
  const literal = (value: unknown): string => (typeof value === 'number' ? String(value) : `'${String(value)}'`);
  let next = 0;
  const filled = sql.replace(/\$\d+|\?/g, () => literal(bindings[next++]));
  const explain = knex.client.driverName === 'pg' ? 'explain' : 'explain query plan';
  const result: unknown = await knex.raw(`${explain} ${filled}`);
  return JSON.stringify(Array.isArray(result) ? result : (result as { rows: unknown }).rows);
}
