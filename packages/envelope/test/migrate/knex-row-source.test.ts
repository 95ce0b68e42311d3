import { inspect } from 'node:util';
import { rawCause } from '@keywright/envelope';
import { columnCodec } from '@keywright/envelope/columns';
import { backfill, finalise, type KnexRowSourceOptions, knexRowSource } from '@keywright/envelope/migrate';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex from 'knex';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  codecOf,
  codeOf,
  createConnections,
  credentialsOf,
  type Fixture,
  keyringOf,
  openDatabase,
  plainText,
  sourceOf,
} from './support.ts';

const reading = codecOf({ legacy: 'allow' });

describeEachEngine('a knex source', (engine) => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await openDatabase(engine);
  });
  afterEach(async () => {
    await fixture?.close();
  });
  const scan = async (options: Partial<KnexRowSourceOptions>): Promise<unknown> =>
    await codeOf(() => sourceOf(fixture.knex, options).scan({ limit: 5 }));

  it('takes a primary key or a unique index for its key, and no other columns', async () => {
    const { knex } = fixture;
    await knex.schema.createTable('connections', (table) => {
      table.integer('id').notNullable();
      table.string('tenant', 20).notNullable();
      table.string('name', 20).notNullable();
      table.string('other', 20);
      table.text('credentials');
      table.primary(['tenant', 'id']);
      table.unique(['name']);
      table.unique(['other']);
    });
    await knex('connections').insert({ id: 1, tenant: 'a', name: 'n', credentials: plainText(1) });
    expect(await scan({ key: ['tenant', 'id'] })).toMatchObject({ rows: [{ stored: plainText(1) }] });
    expect(await scan({ key: ['id', 'tenant'] })).toMatchObject({ rows: [{ stored: plainText(1) }] });
    expect(await scan({ key: 'name' })).toMatchObject({ rows: [{ key: { name: 'n' } }] });
    for (const key of ['id', 'tenant', ['id', 'name'], ['id', 'tenant', 'name'], 'other']) {
      expect(await scan({ key })).toBe('ERR_COLUMN_SOURCE_KEY');
    }
  });

  it('binds values under the names that the application has for key columns', async () => {
    const { knex } = fixture;
    await knex.schema.createTable('connections', (table) => {
      table.string('tenant_id', 20).notNullable();
      table.integer('id').notNullable();
      table.text('credentials');
      table.primary(['tenant_id', 'id']);
    });
    await knex('connections').insert([1, 2, 3].map((id) => ({ tenant_id: 'a', id, credentials: plainText(id) })));
    const source = sourceOf(knex, { key: { tenantId: 'tenant_id', id: 'id' } });
    expect(await backfill({ codec: reading, source, from: { plaintext: true }, batchRows: 2 })).toMatchObject({
      converted: 3,
    });
    const rows = (await knex('connections')) as { id: number; credentials: string }[];
    for (const { id, credentials } of rows) {
      expect(codecOf().decode(credentials, { key: { id, tenantId: 'a' } })).toEqual(credentialsOf(id));
    }
  });

  it('refuses tables and columns that are not there', async () => {
    await createConnections(fixture.knex, 1);
    expect(await scan({ table: 'missing' })).toMatch(/^ERR_COLUMN_SOURCE_UNSUPPORTED$/);
    expect(await scan({ column: 'missing' })).toBe('ERR_COLUMN_SOURCE_UNSUPPORTED');
    expect(await scan({ key: 'missing' })).toBe('ERR_COLUMN_SOURCE_UNSUPPORTED');
    expect(await scan({ tenantColumn: 'missing' })).toMatch(/^ERR_COLUMN_SOURCE_/);
  });

  it('refuses rows without a tenant where values are bound to one', async () => {
    await createConnections(fixture.knex, 1);
    await fixture.knex.schema.alterTable('connections', (table) => {
      table.string('tenant', 20);
    });
    expect(await scan({ tenantColumn: 'tenant' })).toBe('ERR_COLUMN_SOURCE_KEY');
  });

  it('works under a knex that maps names', async () => {
    await createConnections(fixture.knex, 3);
    const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const mapping = createKnex({
      ...fixture.knex.client.config,
      wrapIdentifier: (name: string, original: (name: string) => string) => original(snake(name)),
      postProcessResponse: (result: unknown) =>
        Array.isArray(result) ? result.map((row) => (typeof row === 'object' ? { ...row } : row)) : result,
    });
    try {
      await mapping.schema.alterTable('connections', (table) => table.integer('rowNumber'));
      await mapping.raw('create unique index row_number on connections (row_number)');
      await mapping('connections').update({ rowNumber: mapping.ref('id') });
      if (engine.name === 'postgres') await mapping.raw('alter table connections alter row_number set not null');
      const source = sourceOf(mapping as never, { key: 'rowNumber' });
      const { rows } = await source.scan({ limit: 5 });
      expect(rows.map(({ key }) => String(key.rowNumber))).toEqual(['1', '2', '3']);
      expect(await source.compareAndSet(rows.map((row) => ({ row, next: 'next' })))).toEqual([true, true, true]);
    } finally {
      await mapping.destroy();
    }
  });

  it('passes on no SQL, no binding and no message of the database', async () => {
    const { knex } = fixture;
    await createConnections(knex, 1);
    const canary = 'sk_live_canary';
    await knex('connections').update({ credentials: `{"apiKey":"${canary}"}` });
    const source = sourceOf(knex);
    await source.scan({ limit: 1 });
    const full = await source.scan({ limit: 1 });
    await knex.schema.dropTable('connections');
    const changes = full.rows.map((row) => ({ row, next: `${canary} again` }));
    for (const call of [() => source.scan({ limit: 1 }), () => source.compareAndSet(changes)]) {
      const error = await call().then(
        () => undefined,
        (caught: unknown) => caught as Error,
      );
      expect(error).toMatchObject({ code: 'ERR_COLUMN_SOURCE_FAILED', retryable: false });
      const shown = `${inspect(error, { depth: 9, showHidden: true })} ${JSON.stringify(error)} ${error?.stack}`;
      expect(shown).not.toContain(canary);
      expect(shown).not.toContain('select');
      expect(shown).not.toContain('update "');
      expect(rawCause(error as never)).toBeInstanceOf(Error);
    }
  });

  it('says that a database that cannot be reached may be tried again', async () => {
    const config = fixture.knex.client.config as { client: string };
    if (config.client !== 'pg') return expect(config.client).toBe('better-sqlite3'); // it is never out of reach
    const away = createKnex({ client: 'pg', connection: 'postgres://postgres@127.0.0.1:1/none' });
    try {
      await expect(sourceOf(away).scan({ limit: 1 })).rejects.toMatchObject({ retryable: true });
    } finally {
      await away.destroy();
    }
  });
});

describeEachEngine('a snapshot', (engine) => {
  it('does not see what is committed meanwhile', async () => {
    const fixture = await openDatabase(engine);
    const writer = createKnex(fixture.knex.client.config);
    try {
      await createConnections(fixture.knex, 4);
      const source = sourceOf(fixture.knex);
      const seen = await source.snapshot?.(async (frozen) => {
        const first = await frozen.scan({ limit: 2 });
        await writer('connections').where({ id: 4 }).update({ credentials: 'late' });
        await writer('connections').insert({ id: 5, credentials: 'late' });
        return [...first.rows, ...(await frozen.scan({ limit: 5, after: first.cursor })).rows];
      });
      expect(seen?.map(({ stored }) => stored)).toEqual([1, 2, 3, 4].map(plainText));
    } finally {
      await writer.destroy();
      await fixture.close();
    }
  });
});

describe('a knex source', () => {
  it.each(['mysql2', 'sqlite3', 'cockroachdb', undefined])('refuses the driver %s', (driverName) => {
    const knex = Object.assign(() => {}, { client: { driverName }, raw: () => {}, transaction: () => {} });
    const make = () => knexRowSource({ knex: knex as never, table: 't', column: 'c', key: 'id' });
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_COLUMN_SOURCE_UNSUPPORTED' }));
  });

  it.each([
    ['table', { table: 'app.connections' }],
    ['schema', { schema: '' }],
    ['column', { column: 'a as b' }],
    ['key', { key: [] }],
    ['key', { key: ['id', '*'] }],
    ['where', { where: { id: { $gt: 1 } } }],
    ['jsonAs', { jsonAs: 'json' }],
    ['knex', { knex: {} }],
  ])('refuses a wrong %s', (argument, wrong) => {
    const knex = createKnex({ client: 'pg' });
    const make = () => knexRowSource({ knex, table: 't', column: 'c', key: 'id', ...wrong } as never);
    expect(make).toThrow(
      expect.objectContaining({ code: 'ERR_COLUMN_INVALID_ARGUMENT', context: expect.objectContaining({ argument }) }),
    );
  });
});

describeEachEngine('what one engine alone has', (engine) => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await openDatabase(engine);
  });
  afterEach(async () => {
    await fixture?.close();
  });

  if (engine.name === 'sqlite') {
    it('refuses a key that is null in a row, as SQLite allows it', async () => {
      const { knex } = fixture;
      await knex.raw('create table connections (id text primary key, credentials text)');
      await knex.raw("insert into connections values (null, 'x'), ('a', 'y')");
      expect(await codeOf(() => sourceOf(knex).scan({ limit: 5 }))).toBe('ERR_COLUMN_SOURCE_KEY');
    });

    it('keeps integers and text apart in a key without a type', async () => {
      const { knex } = fixture;
      await knex.raw('create table connections (id primary key not null, credentials text)');
      await knex.raw("insert into connections values (1, 'a'), ('1', 'b'), (9007199254740993, 'c'), (2.5, 'd')");
      const source = sourceOf(knex);
      expect(await codeOf(() => source.scan({ limit: 5 }))).toBe('ERR_COLUMN_SOURCE_KEY');
      await knex.raw('delete from connections where id = 2.5');
      const { rows } = await source.scan({ limit: 5 });
      expect(rows.map(({ key }) => key.id)).toEqual([1, 9007199254740993n, '1']);
      expect(await source.compareAndSet(rows.map((row) => ({ row, next: `${typeof row.key.id}` })))).toEqual([
        true,
        true,
        true,
      ]);
      expect(await knex('connections').orderBy('id').pluck('credentials')).toEqual(['number', 'bigint', 'string']);
    });
    return;
  }

  it('refuses types of columns and keys that it cannot compare', async () => {
    const { knex } = fixture;
    await knex.raw(
      'create table connections (id numeric primary key, at timestamptz unique not null, n integer unique not null, credentials xml, kind char(3), c text)',
    );
    const scan = async (options: Partial<KnexRowSourceOptions>) =>
      await codeOf(() => sourceOf(knex, options).scan({ limit: 1 }));
    expect(await scan({ key: 'id', column: 'c' })).toBe('ERR_COLUMN_SOURCE_UNSUPPORTED');
    expect(await scan({ key: 'at', column: 'c' })).toBe('ERR_COLUMN_SOURCE_UNSUPPORTED');
    expect(await scan({ key: 'n', column: 'credentials' })).toBe('ERR_COLUMN_SOURCE_UNSUPPORTED');
    expect(await scan({ key: 'n', column: 'kind' })).toBe('ERR_COLUMN_SOURCE_UNSUPPORTED');
    expect(await scan({ key: 'n', column: 'c' })).toEqual({ rows: [], cursor: undefined });
  });

  it('refuses a unique index that leaves rows out, or that is unique only in the end', async () => {
    const { knex } = fixture;
    await knex.raw('create table connections (id integer not null, credentials text)');
    await knex.raw('create unique index partly on connections (id) where id > 5');
    expect(await codeOf(() => sourceOf(knex).scan({ limit: 1 }))).toBe('ERR_COLUMN_SOURCE_KEY');
    await knex.raw('alter table connections add unique (id) deferrable initially deferred');
    expect(await codeOf(() => sourceOf(knex).scan({ limit: 1 }))).toBe('ERR_COLUMN_SOURCE_KEY');
    await knex.raw('create unique index wholly on connections (id)');
    expect(await sourceOf(knex).scan({ limit: 1 })).toMatchObject({ rows: [] });
  });

  it('finds a table of another schema, with columns of a domain', async () => {
    const { knex } = fixture;
    await knex.raw('create schema "App"');
    await knex.raw('create domain "App".secret as text check (length(value) < 1000)');
    await knex.raw('create table "App".connections (id integer primary key, credentials "App".secret)');
    await knex.raw('insert into "App".connections values (1, ?)', [plainText(1)]);
    const source = sourceOf(knex, { schema: 'App' });
    expect(await backfill({ codec: reading, source, from: { plaintext: true } })).toMatchObject({ converted: 1 });
    const { constraint } = await finalise({ codec: reading, source, from: { plaintext: true } });
    for (const sql of [...(constraint?.add ?? []), ...(constraint?.validate ?? [])]) await knex.raw(sql);
    expect(constraint?.add).toHaveLength(1);
  });

  it('does not prove anything with rows hidden by row-level security', async () => {
    const { knex } = fixture;
    await createConnections(knex, 2);
    const role = `reader_${process.pid}_${Date.now()}`;
    await knex.raw('alter table connections enable row level security');
    await knex.raw('create policy own on connections using (id = 1)');
    await knex.raw(`create role ${role}`);
    try {
      await knex.raw(`grant select, update on connections to ${role}`);
      const codec = codecOf();
      const asReader = createKnex({ ...fixture.knex.client.config, pool: { min: 0, max: 1 } });
      try {
        await asReader.raw(`set role ${role}`);
        const source = sourceOf(asReader);
        expect((await source.scan({ limit: 5 })).rows).toHaveLength(1);
        expect(await codeOf(() => finalise({ codec, source, from: { plaintext: true } }))).toBe(
          'ERR_COLUMN_SOURCE_HIDDEN',
        );
        // In a transaction of the caller's as well, where there is no snapshot to be made.
        const hidden = asReader.transaction(async (trx) => {
          await trx('connections').update({ credentials: null });
          await finalise({ codec, source: sourceOf(trx), from: { plaintext: true } });
        });
        await expect(hidden).rejects.toMatchObject({ code: 'ERR_COLUMN_SOURCE_HIDDEN' });
        // And where no constraint would be given.
        const filtered = asReader.transaction(async (trx) => {
          await trx('connections').update({ credentials: null });
          await finalise({ codec, source: sourceOf(trx, { where: { writes: 0 } }), from: { plaintext: true } });
        });
        await expect(filtered).rejects.toMatchObject({ code: 'ERR_COLUMN_SOURCE_HIDDEN' });
        const unsaid = asReader.transaction(async (trx) => {
          await finalise({ codec, source: sourceOf(trx), from: { kid: 'v9' } });
        });
        await expect(unsaid).rejects.toMatchObject({ code: 'ERR_COLUMN_SOURCE_HIDDEN' });
      } finally {
        await asReader.destroy();
      }
    } finally {
      await knex.raw(`drop owned by ${role}`);
      await knex.raw(`drop role ${role}`);
    }
  });

  it('waits a little for rows that another transaction holds, then leaves them for the next run', async () => {
    const { knex } = fixture;
    await createConnections(knex, 10);
    const options = { codec: reading, source: sourceOf(knex), from: { plaintext: true }, batchRows: 4 } as const;
    const trx = await knex.transaction();
    await trx('connections').where({ id: 3 }).update({ writes: 1 });
    const startedAt = performance.now();
    expect(await backfill(options)).toMatchObject({ converted: 9, changed: 1, done: true });
    expect(performance.now() - startedAt).toBeGreaterThan(700);
    await trx.commit();
    expect(await backfill(options)).toMatchObject({ converted: 1, changed: 0, skipped: 9 });
    expect(await knex.raw('show lock_timeout')).toMatchObject({ rows: [{ lock_timeout: '0' }] });
  });

  it('ends no transaction of a writer that locks rows in the other order', async () => {
    const { knex } = fixture;
    await createConnections(knex, 40);
    const source = sourceOf(knex);
    const { rows } = await source.scan({ limit: 40 });
    const changes = rows.map((row) => ({ row, next: 'next' }));
    const writer = await knex.transaction();
    await writer('connections').where({ id: 40 }).update({ writes: 1 });
    const setting = source.compareAndSet(changes); // has rows from 1 on, waits for 40
    await new Promise((resolve) => setTimeout(resolve, 200));
    await writer('connections').where({ id: 1 }).update({ writes: 1 }); // waits for us: a circle
    await writer.commit();
    const stored = await setting;
    expect(stored.filter((each) => each).length).toBeGreaterThanOrEqual(38);
    expect(await knex('connections').where({ writes: 1 }).orderBy('id').pluck('id')).toEqual([1, 40]);
  });

  it('names a column that is too narrow by the code of the database', async () => {
    const { knex } = fixture;
    await knex.raw('create table connections (id integer primary key, credentials varchar(60))');
    await knex('connections').insert({ id: 1, credentials: plainText(1) });
    const run = backfill({ codec: reading, source: sourceOf(knex), from: { plaintext: true } });
    await expect(run).rejects.toMatchObject({ code: 'ERR_COLUMN_SOURCE_FAILED', cause: { code: '22001' } });
    expect(await knex('connections').pluck('credentials')).toEqual([plainText(1)]);
  });

  it('reports numbers of jsonb that JavaScript would round', async () => {
    const { knex } = fixture;
    await knex.raw('create table connections (id integer primary key, credentials jsonb)');
    await knex.raw(
      `insert into connections values (1, '{"n": 12345678901234567890}'), (2, '{"n": 1.50}'), (3, 'null')`,
    );
    const codec = columnCodec({
      keyring: keyringOf(),
      table: 'connections',
      column: 'credentials',
      storage: 'json',
      legacy: 'allow',
    });
    const result = await backfill({ codec, source: sourceOf(knex), from: { plaintext: true } });
    expect(result).toMatchObject({ converted: 1, skipped: 1, failed: 1 });
    expect(result.failures).toEqual([{ key: { id: '1' }, code: 'ERR_COLUMN_VALUE_LOSSY' }]);
  });
});
