import { kyselyEncryption } from '@keywright/envelope/codecs/kysely';
import { type ColumnCodecOptions, tenantFromContext, withContext } from '@keywright/envelope/columns';
import { CamelCasePlugin, type ColumnType, type Generated, Kysely, PostgresDialect, SqliteDialect, sql } from 'kysely';
import { jsonArrayFrom } from 'kysely/helpers/sqlite';
import { describe, expect, it } from 'vitest';
import { thrown } from '../support.ts';
import { CANARY, type Credentials, codeOf, credentials, credentialsCodec, notesCodec, Raw, V1 } from './support.ts';

interface Row {
  id: string;
  tenant?: string | null;
  name?: string | null;
  credentials?: Credentials | null;
  notes?: string | null;
}
interface Schema {
  owners: { owner: string; id: string };
  connections: Row;
  copies: { id: string; tenant: string | null; name: string | null; credentials: string | null; notes: string | null };
}

function open(options: Partial<ColumnCodecOptions> = {}, tenant?: string) {
  const raw = new Raw();
  const columns = { credentials: credentialsCodec(options), notes: notesCodec(options) };
  const plugin = kyselyEncryption({ tables: { connections: { columns, ...(tenant && { tenant }) } } });
  const db = new Kysely<Schema>({ dialect: new SqliteDialect({ database: raw.db }), plugins: [plugin] });
  return { raw, db, plugin };
}

const REFUSED = 'ERR_COLUMN_STATEMENT_REFUSED';
const NO_KEY = 'ERR_COLUMN_ROW_KEY_MISSING';

async function filled(options: Partial<ColumnCodecOptions> = {}) {
  const opened = open(options);
  const rows = [
    { id: 'a', name: 'one', credentials, notes: 'of a' },
    { id: 'b', name: 'two', credentials: null, notes: 'of b' },
  ];
  await opened.db.insertInto('connections').values(rows).execute();
  return opened;
}

describe('a Kysely plugin', () => {
  it('encrypts on insert and update, decrypts what is selected', async () => {
    const { raw, db } = open();
    const inserted = await db
      .insertInto('connections')
      .values([{ id: 'a', credentials, notes: CANARY }, { id: 'b', credentials: null }, { id: 'c' }])
      .returningAll()
      .execute();
    expect(inserted).toMatchObject([{ credentials, notes: CANARY }, { credentials: null }, { notes: null }]);
    expect(raw.row('a').credentials).toMatch(/^kw2\.A256GCM\.v1\./);
    expect(raw.row('b').credentials).toBeNull();
    raw.expectNoCanary();
    const updated = await db
      .updateTable('connections')
      .set({ credentials: { apiKey: `${CANARY} changed` }, name: 'n' })
      .where('name', 'is', null)
      .where((eb) => eb.and([eb('id', '=', 'a'), eb('tenant', 'is', null)]))
      .returning(['id', 'credentials as renamed'])
      .executeTakeFirstOrThrow();
    expect(updated).toEqual({ id: 'a', renamed: { apiKey: `${CANARY} changed` } });
    raw.expectNoCanary();
    expect(await db.selectFrom('connections').selectAll().where('notes', 'is not', null).execute()).toMatchObject([
      { id: 'a', credentials: { apiKey: `${CANARY} changed` }, notes: CANARY },
    ]);
    const deleted = await db.deleteFrom('connections').where('id', '=', 'a').returning(['id', 'notes']).execute();
    expect(deleted).toEqual([{ id: 'a', notes: CANARY }]);
  });

  it('follows aliases and joins by what a column is selected as', async () => {
    const { raw, db } = await filled();
    raw.run("INSERT INTO copies (id, name, notes) VALUES ('a', 'copy', 'in the clear')");
    const joined = await db
      .selectFrom('connections as c')
      .innerJoin('copies as d', 'd.id', 'c.id')
      .select(['c.id as key', 'c.notes as text', 'd.notes', 'd.id'])
      .execute();
    expect(joined).toEqual([{ key: 'a', text: 'of a', notes: 'in the clear', id: 'a' }]);
    const all = await db
      .selectFrom('connections as c')
      .innerJoin('copies as d', 'd.id', 'c.id')
      .selectAll('c')
      .execute();
    expect(all).toMatchObject([{ id: 'a', name: 'one', credentials, notes: 'of a' }]);
    const twice = await db
      .selectFrom('connections as c')
      .innerJoin('connections as e', (join) => join.on('e.id', '=', 'b'))
      .where('c.id', '=', 'a')
      .select(['c.id', 'c.notes', 'e.id as otherId', 'e.notes as other'])
      .execute();
    expect(twice).toEqual([{ id: 'a', notes: 'of a', otherId: 'b', other: 'of b' }]);
    raw.run('CREATE TABLE owners (owner TEXT, id TEXT)');
    raw.run("INSERT INTO owners VALUES ('me', 'a')");
    const single = db.selectFrom('connections').innerJoin('owners', 'owners.id', 'connections.id');
    expect(await single.select(['owner', 'connections.id', 'credentials']).execute()).toEqual([
      { owner: 'me', id: 'a', credentials },
    ]);
  });

  it('leaves statements without encrypted columns alone', async () => {
    const { db } = await filled();
    await db
      .insertInto('copies')
      .columns(['id', 'name'])
      .expression(db.selectFrom('connections').select(['id', 'name']))
      .execute();
    await db.updateTable('copies').set({ notes: 'in the clear' }).execute();
    expect(
      await db
        .selectFrom('copies')
        .select(['id', 'notes'])
        .orderBy('notes')
        .where('notes', '=', 'in the clear')
        .execute(),
    ).toHaveLength(2);
    expect(
      await db
        .selectFrom('connections')
        .select((eb) => eb.fn.countAll<number>().as('n'))
        .execute(),
    ).toEqual([{ n: 2 }]);
    expect(
      await db
        .selectFrom('connections')
        .select(['name', sql<number>`1 + 1`.as('two')])
        .orderBy('name')
        .execute(),
    ).toEqual([
      { name: 'one', two: 2 },
      { name: 'two', two: 2 },
    ]);
    const copies = await db
      .selectFrom('connections')
      .select((eb) => [
        'id',
        jsonArrayFrom(eb.selectFrom('copies').select(['copies.name']).whereRef('copies.id', '=', 'connections.id')).as(
          'copies',
        ),
      ])
      .execute();
    expect(copies).toHaveLength(2);
    await db.schema.createIndex('by_notes').on('connections').column('notes').execute();
    expect(await db.selectFrom('connections').selectAll().explain()).not.toHaveLength(0);
  });

  it('upserts on the key', async () => {
    const { raw, db } = await filled();
    const upsert = (id: string, notes: string) => db.insertInto('connections').values({ id, notes });
    await upsert('a', `${CANARY} 1`)
      .onConflict((oc) => oc.column('id').doUpdateSet((eb) => ({ notes: eb.ref('excluded.notes') })))
      .execute();
    expect(await db.selectFrom('connections').select(['id', 'notes']).where('id', '=', 'a').execute()).toEqual([
      { id: 'a', notes: `${CANARY} 1` },
    ]);
    await upsert('a', 'x')
      .onConflict((oc) => oc.column('id').doUpdateSet({ notes: `${CANARY} 2`, name: 'n' }))
      .execute();
    expect(await db.selectFrom('connections').selectAll().where('id', '=', 'a').execute()).toMatchObject([
      { name: 'n', notes: `${CANARY} 2` },
    ]);
    await upsert('a', 'x')
      .onConflict((oc) => oc.doNothing())
      .execute();
    raw.expectNoCanary();
    const other = upsert('c', 'x').onConflict((oc) =>
      oc.column('name').doUpdateSet((eb) => ({ notes: eb.ref('excluded.notes') })),
    );
    expect(await codeOf(() => other.execute())).toBe(REFUSED);
    expect(
      await codeOf(() =>
        upsert('c', 'x')
          .onConflict((oc) => oc.column('name').doUpdateSet({ notes: 'y' }))
          .execute(),
      ),
    ).toBe(NO_KEY);
    const crossed = upsert('a', 'x').onConflict((oc) =>
      oc.column('id').doUpdateSet((eb) => ({ notes: eb.ref('excluded.name') })),
    );
    expect(await codeOf(() => crossed.execute())).toBe(REFUSED);
  });

  it('refuses swapped rows and what was copied from another column', async () => {
    const { raw, db, plugin } = await filled();
    const read = () => db.selectFrom('connections').selectAll().execute();
    raw.swap('notes', 'a', 'b');
    expect(await codeOf(read)).toBe('ERR_ENVELOPE_DECRYPT');
    raw.swap('notes', 'a', 'b');
    expect(await read()).toMatchObject([{ notes: 'of a' }, { notes: 'of b' }]);
    raw.run('UPDATE connections SET credentials = notes');
    expect(await codeOf(read)).toBe('ERR_ENVELOPE_DECRYPT');
    expect(plugin.binds).toBe('row');
  });

  it('needs the primary key where it binds the row', async () => {
    const { raw, db } = await filled();
    const before = raw.row('a');
    for (const statement of [
      db.insertInto('connections').values({ credentials } as never),
      db.insertInto('connections').values({ id: sql<string>`hex(randomblob(8))`, credentials }),
      db.updateTable('connections').set({ credentials }),
      db.updateTable('connections').set({ credentials }).where('id', 'in', ['a']),
      db.updateTable('connections').set({ credentials }).where('id', '>', 'a'),
      db
        .updateTable('connections')
        .set({ credentials })
        .where((eb) => eb.or([eb('id', '=', 'a'), eb('id', '=', 'b')])),
      db
        .updateTable('connections')
        .set({ credentials })
        .where((eb) => eb.not(eb('id', '=', 'a'))),
      db.updateTable('connections').from('copies').set({ credentials }).where('copies.id', '=', 'a'),
      db.updateTable('connections').set({ credentials }).where('id', '=', 'a').returning('credentials'),
      db.selectFrom('connections').select('credentials'),
      db.selectFrom('connections as c').innerJoin('copies as d', 'd.id', 'c.id').select(['d.id', 'c.notes']),
    ]) {
      expect(await codeOf(() => statement.execute())).toBe(NO_KEY);
    }
    expect(raw.row('a')).toEqual(before);
    expect(await db.selectFrom('connections').select('name').execute()).toHaveLength(2);
  });

  it('refuses what it cannot follow, before it runs', async () => {
    const { raw, db } = await filled();
    const before = raw.row('a');
    const c = db.selectFrom('connections');
    const bare = new Kysely<Schema>({ dialect: new SqliteDialect({ database: raw.db }) });
    const sub = bare.selectFrom('connections').select(['id', 'notes']);
    const statements: Record<string, { execute(): Promise<unknown> }> = {
      'a condition': c.select('id').where('notes', '=', CANARY),
      'a condition on an alias': db.selectFrom('connections as x').select('x.id').where('x.notes', 'like', CANARY),
      'an order': c.select('id').orderBy('notes'),
      'a group': c.select((eb) => eb.fn.countAll().as('n')).groupBy('notes'),
      'a function': c.select((eb) => ['id', eb.fn<string>('lower', ['notes']).as('notes')]),
      'a function of rows': c.select((eb) => eb.fn.jsonAgg('connections').as('rows')),
      'a filtered count': c.select((eb) => eb.fn.countAll().filterWhere('notes', '=', CANARY).as('n')),
      'a case': c.select((eb) => ['id', eb.case().when('id', '=', 'a').then(eb.ref('notes')).end().as('notes')]),
      'raw SQL in a select': c.select(['id', sql<string>`notes`.as('x')]),
      'raw SQL for all columns': c.select(['id', sql<string>`*`.as('x')]),
      'a raw reference': c.select(['id', sql<string>`lower(${sql.ref('notes')})`.as('x')]),
      'an identifier in raw SQL': c.select(['id', sql<string>`${sql.id('notes')}`.as('x')]),
      'a raw condition on an identifier': c.select('id').where(sql<boolean>`${sql.id('connections', 'notes')} = 'x'`),
      'a raw source': db.selectFrom(sql<Row>`${sql.id('connections')}`.as('x')).selectAll(),
      'a condition on a selected alias': c.select(['id', 'notes as n']).where('n' as 'id', '=', CANARY),
      'an order by a selected alias': c.select(['id', 'notes as n']).orderBy('n'),
      'a condition in another case': c.select('id').where('NOTES' as 'notes', '=', CANARY),
      'an order in another case': c.select('id').orderBy(db.dynamic.ref('NOTES')),
      'a column in another case, selected': c.select(['id', 'NOTES' as 'notes']),
      'a whole row in raw SQL': db.selectFrom('connections as x').select(sql`to_jsonb(x)`.as('row')),
      'all columns in a raw function': db.selectFrom('connections as x').select(sql`to_jsonb(x.*)`.as('row')),
      'a whole row as an argument': db
        .selectFrom('connections as x')
        .select((eb) => eb.fn<string>('row_to_json', [eb.ref('x' as 'id')]).as('row')),
      'raw SQL in a condition': c.select('id').where(sql<boolean>`Connections.NOTES = 'x'`),
      'a subquery as a source': db.selectFrom(sub.as('s')).select(['s.id', 's.notes']),
      'all of a subquery': db.selectFrom(bare.selectFrom('connections').selectAll().as('s')).selectAll(),
      'a subquery as a column': db
        .selectFrom('copies')
        .select([() => bare.selectFrom('connections').select('notes').limit(1).as('notes')]),
      'a CTE': db
        .with('s', () => sub)
        .selectFrom('s')
        .selectAll(),
      'a CTE that writes': db
        .with('s', (qb) => qb.insertInto('connections').values({ id: 'z', notes: CANARY }).returning('id'))
        .selectFrom('s')
        .selectAll(),
      'a union': c.select(['id', 'notes']).union(bare.selectFrom('copies').select(['id', 'notes'])),
      'a union of other names': c
        .select(['id', 'notes'])
        .union(bare.selectFrom('copies').select(['id', 'name as notes']) as never),
      'the other side of a union': db
        .selectFrom('copies')
        .select(['id', 'notes'])
        .union(sub as never),
      'all columns of a join': c.innerJoin('copies', 'copies.id', 'connections.id').selectAll(),
      'one name for two columns': c.select(['id', 'credentials as x', 'notes as x']),
      'an expression on insert': db.insertInto('connections').values({ id: 'z', notes: sql<string>`'clear'` }),
      'a subquery on insert': db
        .insertInto('connections')
        .values({ id: 'z', notes: () => bare.selectFrom('copies').select('notes').limit(1) } as never),
      'an insert from a select': db
        .insertInto('connections')
        .columns(['id', 'notes'])
        .expression(bare.selectFrom('copies').select(['id', 'notes'])),
      'an insert from a select without columns': db
        .insertInto('connections')
        .expression(bare.selectFrom('copies').selectAll() as never),
      'an expression on update': db
        .updateTable('connections')
        .set({ notes: sql<string>`'clear'` })
        .where('id', '=', 'a'),
      'another column on update': db
        .updateTable('connections')
        .set((eb) => ({ notes: eb.ref('name') }))
        .where('id', '=', 'a'),
      'a change of the key': db.updateTable('connections').set({ id: 'z' }).where('id', '=', 'a'),
      'a table in another case': db.insertInto('Connections' as 'connections').values({ id: 'z', notes: CANARY }),
      'a column in another case': db.insertInto('connections').values({ id: 'z', Notes: CANARY } as never),
      'a column with its table': db
        .updateTable('connections')
        .set({ 'connections.notes': CANARY } as never)
        .where('id', '=', 'a'),
      'a merge': db
        .mergeInto('connections')
        .using('copies', 'copies.id', 'connections.id')
        .whenMatched()
        .thenUpdateSet({ notes: CANARY }),
      'a merge that inserts': db
        .mergeInto('connections')
        .using('copies', 'copies.id', 'connections.id')
        .whenNotMatched()
        .thenInsertValues({ id: 'z', notes: CANARY }),
      'a change of the key by SQL': db.updateTable('connections').set({ id: sql<string>`id || 'x'` }),
      'a copy into another table': db.insertInto('copies').columns(['id', 'notes']).expression(sub),
      'an update of another table': db
        .updateTable('copies')
        .from('connections')
        .set((eb) => ({ notes: eb.ref('connections.notes') })),
    };
    for (const [what, statement] of Object.entries(statements)) {
      expect([what, await codeOf(() => statement.execute()).catch(() => 'none')]).toEqual([what, REFUSED]);
    }
    expect(await codeOf(() => sql`SELECT * FROM connections`.execute(db))).toBe(REFUSED);
    const named = sql`UPDATE ${sql.id('connections')} SET ${sql.id('notes')} = ${CANARY}`;
    expect(await codeOf(() => named.execute(db))).toBe(REFUSED);
    expect(await codeOf(() => sql`UPDATE ${sql.table('connections')} SET notes = ${CANARY}`.execute(db))).toBe(REFUSED);
    expect(await sql`SELECT 1 AS one`.execute(db)).toMatchObject({ rows: [{ one: 1 }] });
    expect((await sql`SELECT * FROM connections`.execute(db.withoutPlugins())).rows).toHaveLength(2);
    expect(raw.row('a')).toEqual(before);
    raw.expectNoCanary();
  });

  it('refuses an insert inside another statement that names no columns', () => {
    const plugin = kyselyEncryption({ tables: { connections: { columns: { notes: notesCodec() } } } });
    const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool: {} as never }), plugins: [plugin] });
    const query = db
      .with('s', (qb) => qb.insertInto('connections').expression(qb.selectFrom('copies').selectAll() as never))
      .selectFrom('copies')
      .select('id');
    expect(thrown(() => query.compile()).code).toBe(REFUSED);
  });

  it('keeps queries apart that are built from one beginning, one after the other and at once', async () => {
    const { db } = await filled();
    const base = db.selectFrom('connections').where('id', '=', 'a');
    const queries = [
      base.select(['id', 'notes']),
      base.select((eb) => eb.fn.countAll<number>().as('n')),
      base.select(['id', 'credentials']),
      base.select(['id', 'notes as n', 'credentials as c']),
      base.select(['id', 'name']),
      base.select(['id', 'credentials']).select('notes'),
    ];
    const expected = [
      { id: 'a', notes: 'of a' },
      { n: 1 },
      { id: 'a', credentials },
      { id: 'a', n: 'of a', c: credentials },
      { id: 'a', name: 'one' },
      { id: 'a', credentials, notes: 'of a' },
    ];
    const read = (query: { executeTakeFirst(): Promise<unknown> }) => query.executeTakeFirst();
    expect(await Promise.all(queries.map(read))).toEqual(expected);
    for (const [index, query] of queries.entries()) expect(await read(query)).toEqual(expected[index]);
  });

  it('refuses rows in which another plugin renamed a column', async () => {
    const { raw } = await filled();
    const columns = { credentials: credentialsCodec() };
    const plugin = kyselyEncryption({ tables: { connections: { columns } } });
    const database = { dialect: new SqliteDialect({ database: raw.db }) };
    const db = new Kysely<Schema>({ ...database, plugins: [new CamelCasePlugin(), plugin] });
    const query = db.selectFrom('connections').select(['id', 'credentials as theCredentials' as 'credentials']);
    expect(await codeOf(() => query.execute())).toBe(REFUSED);
  });

  it('binds the tenant of the row', async () => {
    const { raw, db } = open({}, 'tenant');
    await db.insertInto('connections').values({ id: 'a', tenant: 'acme', notes: 'x' }).execute();
    const read = () => db.selectFrom('connections').selectAll().execute();
    expect(await read()).toMatchObject([{ notes: 'x' }]);
    const update = db.updateTable('connections').set({ notes: 'y' }).where('id', '=', 'a');
    expect(await codeOf(() => update.execute())).toBe('ERR_COLUMN_TENANT_MISSING');
    await update.where('tenant', '=', 'acme').execute();
    const move = db.updateTable('connections').where('id', '=', 'a');
    expect(await codeOf(() => move.set({ tenant: 'globex' }).execute())).toBe(REFUSED);
    expect(await codeOf(() => move.set({ tenant: sql<string>`'globex'` }).execute())).toBe(REFUSED);
    await move.set({ tenant: 'globex', notes: 'y', credentials: null }).execute();
    expect(await read()).toMatchObject([{ notes: 'y' }]);
    await move.set({ tenant: 'acme', notes: 'y', credentials: null }).execute();
    expect(await read()).toMatchObject([{ notes: 'y' }]);
    raw.run("UPDATE connections SET tenant = 'globex'");
    expect(await codeOf(read)).toBe('ERR_ENVELOPE_DECRYPT');
  });

  it('that binds the column needs no key, and does not see that two rows were swapped', async () => {
    const { raw, db, plugin } = await filled({ binds: 'column' });
    expect(plugin.binds).toBe('column');
    raw.swap('notes', 'a', 'b');
    const notes = db.selectFrom('connections').select('notes').orderBy('id');
    expect(await notes.execute()).toEqual([{ notes: 'of b' }, { notes: 'of a' }]);
    await db.updateTable('connections').set({ notes: CANARY }).execute();
    raw.expectNoCanary();
    expect(await notes.execute()).toEqual([{ notes: CANARY }, { notes: CANARY }]);
  });

  it('reads for the tenant of the request only, also when it streams', async () => {
    const { db } = open({ tenant: tenantFromContext });
    const as = <T>(tenant: string, work: () => Promise<T>) => withContext({ tenant }, work);
    await as('acme', () => db.insertInto('connections').values({ id: 'a', notes: 'x' }).execute());
    const read = () => db.selectFrom('connections').selectAll().execute();
    expect(await as('acme', read)).toMatchObject([{ notes: 'x' }]);
    expect(await codeOf(() => as('globex', read))).toBe('ERR_ENVELOPE_DECRYPT');
    expect(await codeOf(read)).toBe('ERR_COLUMN_TENANT_MISSING');
    const streamed = await as('acme', async () => {
      const rows: unknown[] = [];
      for await (const row of db.selectFrom('connections').selectAll().stream()) rows.push(row);
      return rows;
    });
    expect(streamed).toMatchObject([{ notes: 'x' }]);
  });

  it('reads old plaintext and version 1 only where that is allowed', async () => {
    const [strict, mixed] = [open(), open({ legacy: 'allow', v1: 'allow' })];
    for (const { raw } of [strict, mixed]) {
      raw.run('INSERT INTO connections (id, credentials) VALUES (?, ?)', 'a', JSON.stringify(credentials));
      raw.run('INSERT INTO connections (id, credentials) VALUES (?, ?)', 'b', V1);
    }
    const read = (id: string) => strict.db.selectFrom('connections').selectAll().where('id', '=', id).execute();
    expect(await codeOf(() => read('a'))).toBe('ERR_COLUMN_PLAINTEXT_REFUSED');
    expect(await codeOf(() => read('b'))).toBe('ERR_COLUMN_V1_REFUSED');
    await mixed.db.insertInto('connections').values({ id: 'c', credentials }).execute();
    const all = await mixed.db.selectFrom('connections').selectAll().execute();
    expect(all.map((row) => row.credentials)).toEqual([credentials, credentials, credentials]);
  });

  it('is not made for a table with its schema, which no query would match', () => {
    const tables = { 'main.connections': { columns: { notes: notesCodec() } } };
    expect(thrown(() => kyselyEncryption({ tables })).code).toBe('ERR_COLUMN_INVALID_ARGUMENT');
  });

  it('holds the names of tables and columns to those of the database type, when it is compiled', () => {
    const columns = { notes: notesCodec() };
    const plugins = [
      kyselyEncryption<Schema>({ tables: { connections: { columns, key: ['id', 'name'], tenant: 'tenant' } } }),
      kyselyEncryption<{ 'app.connections': Row }>({ tables: { connections: { columns } } }),
      kyselyEncryption<{ connections: { id: Generated<string>; notes: ColumnType<string> } }>({
        tables: { connections: { columns } },
      }),
      // @ts-expect-error a table that the database does not have
      kyselyEncryption<Schema>({ tables: { connection: { columns } } }),
      // @ts-expect-error a column that the table does not have
      kyselyEncryption<Schema>({ tables: { connections: { columns: { note: notesCodec() } } } }),
      // @ts-expect-error a column of another table
      kyselyEncryption<Schema>({ tables: { owners: { columns: { notes: notesCodec() } } } }),
      // @ts-expect-error a key that the table does not have
      kyselyEncryption<Schema>({ tables: { connections: { columns, key: ['uuid'] } } }),
      // @ts-expect-error a tenant that the table does not have
      kyselyEncryption<Schema>({ tables: { connections: { columns, tenant: 'tenantId' } } }),
      // Without the type of the database, any name.
      kyselyEncryption({ tables: { connection: { columns: { note: notesCodec() } } } }),
    ];
    expect(plugins.map(({ binds }) => binds)).toEqual(plugins.map(() => 'row'));
  });

  it('is not made without tables', () => {
    for (const options of [undefined, {}, { tables: {} }, { tables: { connections: {} } }]) {
      expect(thrown(() => kyselyEncryption(options as never)).code).toBe('ERR_COLUMN_INVALID_ARGUMENT');
    }
  });
});
