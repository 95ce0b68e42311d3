import { type KnexTableOptions, knexTable } from '@keywright/envelope/codecs/knex';
import { type ColumnCodecOptions, tenantFromContext, withContext } from '@keywright/envelope/columns';
import knex, { type Knex } from 'knex';
import { describe, expect, it, onTestFinished } from 'vitest';
import { thrown } from '../support.ts';
import { CANARY, type Credentials, codeOf, credentials, credentialsCodec, notesCodec, Raw, V1 } from './support.ts';

type Connection = {
  id: string;
  tenant?: string | null;
  name?: string | null;
  credentials?: Credentials | null;
  notes?: string | null;
};

type Places = Pick<KnexTableOptions<Connection>, 'tenant' | 'key'>;

function open(options: Partial<ColumnCodecOptions> = {}, table: Places = {}) {
  const raw = new Raw();
  const db = knex({ client: 'better-sqlite3', connection: { filename: raw.file }, useNullAsDefault: true });
  onTestFinished(() => db.destroy());
  const columns = { credentials: credentialsCodec(options), notes: notesCodec(options) };
  return { raw, db, rows: knexTable<Connection>({ table: 'connections', columns, ...table }) };
}

const one = (rows: readonly Connection[]) => rows[0] as Connection;

describe('a knex table', () => {
  it('encrypts on insert and update, decrypts on find and select', async () => {
    const { raw, db, rows } = open();
    await rows.insert(db, { id: 'a', name: 'prod', credentials, notes: CANARY });
    await rows.insert(db, [
      { id: 'b', credentials: null },
      { id: 'c', name: 'prod', notes: '' },
    ]);
    expect(raw.row('a').credentials).toMatch(/^kw2\.A256GCM\.v1\./);
    raw.expectNoCanary();
    expect(await rows.find(db, { id: 'a' })).toMatchObject({ credentials, notes: CANARY });
    expect(await rows.find(db, { id: 'b' })).toMatchObject({ credentials: null, notes: null });
    expect(raw.row('b').credentials).toBeNull();
    expect(await rows.find(db, { id: 'z' })).toBeUndefined();
    expect(await rows.update(db, { id: 'a' }, { credentials: { apiKey: `${CANARY} changed` } })).toBe(true);
    expect(await rows.update(db, { id: 'z' }, { notes: CANARY })).toBe(false);
    raw.expectNoCanary();
    const found = await rows.select(
      db('connections').where({ name: 'prod' }).select('id', 'credentials').orderBy('id'),
    );
    expect(found).toEqual([
      { id: 'a', credentials: { apiKey: `${CANARY} changed` } },
      { id: 'c', credentials: null },
    ]);
  });

  it('takes part in a transaction', async () => {
    const { db, rows } = open();
    const rolledBack = db.transaction(async (trx: Knex.Transaction) => {
      await rows.insert(trx, { id: 'a', credentials });
      expect(await rows.find(trx, { id: 'a' })).toMatchObject({ credentials });
      throw new Error('rolled back');
    });
    await expect(rolledBack).rejects.toThrow('rolled back');
    expect(await rows.find(db, { id: 'a' })).toBeUndefined();
  });

  it('refuses swapped rows and what was copied from another column or table', async () => {
    const { raw, db, rows } = open();
    await rows.insert(db, [
      { id: 'a', notes: 'of a' },
      { id: 'b', notes: 'of b' },
    ]);
    raw.swap('notes', 'a', 'b');
    expect(await codeOf(() => rows.find(db, { id: 'a' }))).toBe('ERR_ENVELOPE_DECRYPT');
    raw.swap('notes', 'a', 'b');
    expect(await rows.find(db, { id: 'a' })).toMatchObject({ notes: 'of a' });
    raw.run("UPDATE connections SET credentials = notes WHERE id = 'a'");
    expect(await codeOf(() => rows.find(db, { id: 'a' }))).toBe('ERR_ENVELOPE_DECRYPT');
    raw.run("INSERT INTO copies SELECT * FROM connections WHERE id = 'b'");
    const copies = knexTable<Connection>({ table: 'copies', columns: { notes: notesCodec({ table: 'copies' }) } });
    expect(await codeOf(() => copies.find(db, { id: 'b' }))).toBe('ERR_ENVELOPE_DECRYPT');
    expect(rows.binds).toBe('row');
  });

  it('encrypts and decrypts rows of queries that it does not make', async () => {
    const { raw, db, rows } = open();
    const upsert = (row: Connection) =>
      db('connections').insert(rows.encode(row)).onConflict('id').merge().returning('*');
    await upsert({ id: 'a', credentials });
    const [row] = await upsert({ id: 'a', notes: CANARY });
    expect(rows.decode(row)).toMatchObject({ id: 'a', credentials, notes: CANARY });
    raw.expectNoCanary();
    const joined = db('connections as c').join('connections as d', 'c.id', 'd.id').select('c.id', 'd.notes as notes');
    expect(await rows.select(joined)).toEqual([{ id: 'a', notes: CANARY }]);
  });

  it('needs the primary key', async () => {
    const { raw, db, rows } = open();
    const expected = 'ERR_COLUMN_ROW_KEY_MISSING';
    expect(await codeOf(() => rows.insert(db, { credentials } as never))).toBe(expected);
    expect(await codeOf(() => rows.update(db, {}, { credentials }))).toBe(expected);
    expect(await codeOf(() => rows.update(db, { id: undefined as never }, { name: 'all' }))).toBe(expected);
    expect(await codeOf(() => rows.update(db, { tenant: 'a' }, { credentials }))).toBe(expected);
    await rows.insert(db, { id: 'a', credentials });
    expect(await codeOf(() => rows.select(db('connections').select('credentials')))).toBe(expected);
    expect(raw.db.prepare('SELECT count(*) AS n FROM connections').get()).toEqual({ n: 1 });
  });

  it('refuses SQL in place of an encrypted value, a change of the key, and what returns no rows', async () => {
    const { db, rows } = open();
    const expected = 'ERR_COLUMN_STATEMENT_REFUSED';
    expect(await codeOf(() => rows.insert(db, { id: 'a', notes: db.raw('?', [CANARY]) as never }))).toBe(expected);
    expect(await codeOf(() => rows.insert(db, { id: 'a', notes: db('copies').select('notes') as never }))).toBe(
      expected,
    );
    expect(await codeOf(() => rows.insert(db, { id: 'a', Notes: CANARY } as never))).toBe(expected);
    expect(await codeOf(() => rows.update(db, { id: 'a' }, { 'connections.notes': CANARY } as never))).toBe(expected);
    // Knex trims names, and its mappers make snake case of camel case.
    expect(await codeOf(() => rows.insert(db, { id: 'a', ' notes ': CANARY } as never))).toBe(expected);
    const snake = knexTable({ table: 'connections', columns: { api_key: notesCodec() } });
    expect(thrown(() => snake.encode({ id: 'a', apiKey: CANARY } as never)).code).toBe(expected);
    // @ts-expect-error a column that the rows do not have
    knexTable<Connection>({ table: 'connections', columns: { note: notesCodec() } });
    // @ts-expect-error a key that the rows do not have
    knexTable<Connection>({ table: 'connections', columns: { notes: notesCodec() }, key: ['uuid'] });
    expect(await codeOf(() => rows.update(db, { id: 'a' }, { id: 'b' }))).toBe(expected);
    expect(await codeOf(() => rows.select(db('connections').first()))).toBe(expected);
  });

  it('binds a composite key and the tenant of the row', async () => {
    const { raw, db, rows } = open({}, { tenant: 'tenant', key: ['id', 'name'] });
    await rows.insert(db, { id: 'a', name: 'n', tenant: 'acme', credentials });
    const key = { id: 'a', name: 'n' };
    expect(await rows.find(db, key)).toMatchObject({ credentials });
    raw.run("UPDATE connections SET tenant = 'globex'");
    expect(await codeOf(() => rows.find(db, key))).toBe('ERR_ENVELOPE_DECRYPT');
    raw.run('UPDATE connections SET tenant = NULL');
    expect(await codeOf(() => rows.find(db, key))).toBe('ERR_COLUMN_TENANT_MISSING');
    raw.run("UPDATE connections SET tenant = 'acme', name = 'm'");
    expect(await codeOf(() => rows.find(db, { id: 'a', name: 'm' }))).toBe('ERR_ENVELOPE_DECRYPT');
    expect(await codeOf(() => rows.update(db, { id: 'a', name: 'm' }, { credentials }))).toBe(
      'ERR_COLUMN_TENANT_MISSING',
    );
    expect(await rows.update(db, { id: 'a', name: 'm', tenant: 'globex' }, { credentials })).toBe(false);
    expect(await rows.update(db, { id: 'a', name: 'm', tenant: 'acme' }, { credentials })).toBe(true);
    const move = { tenant: 'globex', credentials };
    expect(await codeOf(() => rows.update(db, { id: 'a', name: 'm' }, move))).toBe('ERR_COLUMN_STATEMENT_REFUSED');
    await rows.update(db, { id: 'a', name: 'm' }, { ...move, notes: null });
    expect(one(await rows.select(db('connections')))).toMatchObject({ credentials });
  });

  it('reads for the tenant of the request only', async () => {
    const { db, rows } = open({ tenant: tenantFromContext });
    await withContext({ tenant: 'acme' }, () => rows.insert(db, { id: 'a', credentials }));
    const read = (tenant: string) => withContext({ tenant }, () => rows.find(db, { id: 'a' }));
    expect(await read('acme')).toMatchObject({ credentials });
    expect(await codeOf(() => read('globex'))).toBe('ERR_ENVELOPE_DECRYPT');
    expect(await codeOf(() => rows.find(db, { id: 'a' }))).toBe('ERR_COLUMN_TENANT_MISSING');
  });

  it('reads old plaintext and version 1 only where that is allowed', async () => {
    const [strict, mixed] = [open(), open({ legacy: 'allow', v1: 'allow' })];
    for (const { raw } of [strict, mixed]) {
      raw.run('INSERT INTO connections (id, credentials) VALUES (?, ?)', 'a', JSON.stringify(credentials));
      raw.run('INSERT INTO connections (id, credentials) VALUES (?, ?)', 'b', V1);
    }
    expect(await codeOf(() => strict.rows.find(strict.db, { id: 'a' }))).toBe('ERR_COLUMN_PLAINTEXT_REFUSED');
    expect(await codeOf(() => strict.rows.find(strict.db, { id: 'b' }))).toBe('ERR_COLUMN_V1_REFUSED');
    await mixed.rows.insert(mixed.db, { id: 'c', credentials });
    const all = await mixed.rows.select(mixed.db('connections'));
    expect(all.map((row) => row.credentials)).toEqual([credentials, credentials, credentials]);
  });

  it.each<[string, object]>([
    ['no columns', { table: 'connections', columns: {} }],
    ['no codec', { table: 'connections', columns: { notes: {} } }],
    ['no table', { columns: { notes: notesCodec() } }],
    ['no key', { table: 'connections', columns: { notes: notesCodec() }, key: [] }],
    ['a key named twice', { table: 'connections', columns: { notes: notesCodec() }, key: ['id', 'id'] }],
    ['an encrypted key', { table: 'connections', columns: { id: notesCodec() } }],
    ['an encrypted tenant', { table: 'connections', columns: { notes: notesCodec() }, tenant: 'notes' }],
  ])('is not made with %s', (_what, options) => {
    expect(thrown(() => knexTable(options as never)).code).toBe('ERR_COLUMN_INVALID_ARGUMENT');
  });
});
