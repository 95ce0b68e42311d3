import { type EncryptedTable, encryptedModel } from '@keywright/envelope/codecs/objection';
import { type ColumnCodecOptions, tenantFromContext, withContext } from '@keywright/envelope/columns';
import knex from 'knex';
import { Model, raw as rawSql, ref, snakeCaseMappers } from 'objection';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CANARY, type Credentials, codeOf, credentials, credentialsCodec, notesCodec, Raw, V1 } from './support.ts';

function open(options: Partial<ColumnCodecOptions> = {}) {
  const raw = new Raw();
  const db = knex({ client: 'better-sqlite3', connection: { filename: raw.file }, useNullAsDefault: true });
  onTestFinished(() => db.destroy());
  const columns = { credentials: credentialsCodec(options), notes: notesCodec(options) };
  class Connection extends encryptedModel(Model, { columns }) {
    static override tableName = 'connections';
    // Objection would store these as JSON text.
    static override jsonAttributes = ['credentials', 'notes'];
    declare id: string;
    declare tenant: string | null;
    declare name: string | null;
    declare credentials: Credentials | null;
    declare notes: string | null;
    declare children: Connection[];
    static override get relationMappings() {
      const join = { from: 'connections.id', to: 'connections.tenant' };
      return { children: { relation: Model.HasManyRelation, modelClass: Connection, join } };
    }
  }
  return { raw, rows: Connection.bindKnex(db) };
}

describe('an Objection model', () => {
  it('is encrypted on insert and patch, decrypted when found', async () => {
    const { raw, rows } = open();
    const inserted = await rows.query().insert({ id: 'a', name: 'prod', credentials, notes: CANARY });
    expect(inserted).toMatchObject({ credentials, notes: CANARY });
    await rows.query().insert({ id: 'b', credentials: null, notes: '7' });
    expect(raw.row('a').credentials).toMatch(/^kw2\.A256GCM\.v1\./);
    raw.expectNoCanary();
    const a = await rows.query().findById('a').throwIfNotFound();
    expect(a).toMatchObject({ credentials, notes: CANARY });
    expect(await rows.query().findById('b')).toMatchObject({ credentials: null, notes: '7' });
    expect(raw.row('b').credentials).toBeNull();
    await a.$query().patch({ credentials: { apiKey: `${CANARY} changed` } });
    expect(a.credentials).toEqual({ apiKey: `${CANARY} changed` });
    await rows
      .query()
      .findById('b')
      .patch({ id: 'b', notes: `${CANARY} too` });
    await rows.query().patchAndFetchById('b', { id: 'b', name: 'n' });
    raw.expectNoCanary();
    expect(await rows.query().orderBy('id').select('id', 'credentials', 'notes')).toMatchObject([
      { id: 'a', credentials: { apiKey: `${CANARY} changed` }, notes: CANARY },
      { id: 'b', credentials: null, notes: `${CANARY} too` },
    ]);
    expect(await rows.query().insert({ id: 'c', notes: CANARY }).returning('*')).toMatchObject({ notes: CANARY });
  });

  it('is encrypted in graphs, each row under its own key', async () => {
    const { raw, rows } = open();
    const graph = { id: 'a', notes: `${CANARY} a`, children: [{ id: 'b', notes: `${CANARY} b` }] };
    await rows.query().insertGraph(graph);
    raw.expectNoCanary();
    expect(await rows.query().findById('a').withGraphFetched('children')).toMatchObject(graph);
    expect(await rows.query().withGraphJoined('children').where('connections.id', 'a')).toMatchObject([graph]);
    const changed = { id: 'a', notes: `${CANARY} A`, children: [{ id: 'b', notes: `${CANARY} B` }] };
    await rows.query().upsertGraph(changed);
    raw.expectNoCanary();
    expect(await rows.query().findById('a').withGraphFetched('children')).toMatchObject(changed);
  });

  it('refuses swapped rows and what was copied from another column', async () => {
    const { raw, rows } = open();
    await rows.query().insert({ id: 'a', notes: '{}' });
    await rows.query().insert({ id: 'b', notes: '{}' });
    raw.swap('notes', 'a', 'b');
    expect(await codeOf(() => rows.query().findById('a'))).toBe('ERR_ENVELOPE_DECRYPT');
    raw.swap('notes', 'a', 'b');
    expect(await rows.query().findById('a')).toMatchObject({ notes: '{}' });
    raw.run('UPDATE connections SET credentials = notes');
    expect(await codeOf(() => rows.query().findById('a'))).toBe('ERR_ENVELOPE_DECRYPT');
    expect(encryptedModel(Model, { columns: { notes: notesCodec() } }).binds).toBe('row');
  });

  it('needs the primary key where it binds the row', async () => {
    const { raw, rows } = open();
    const expected = 'ERR_COLUMN_ROW_KEY_MISSING';
    expect(await codeOf(() => rows.query().insert({ credentials }))).toBe(expected);
    await rows.query().insert({ id: 'a', credentials });
    const before = raw.row('a');
    expect(await codeOf(() => rows.query().findById('a').patch({ credentials }))).toBe(expected);
    expect(await codeOf(() => rows.query().patchAndFetchById('a', { credentials }))).toBe(expected);
    expect(await codeOf(() => rows.query().where('name', 'x').patch({ notes: 'x' }))).toBe(expected);
    expect(await codeOf(() => rows.query().select('credentials'))).toBe(expected);
    expect(raw.row('a')).toEqual(before);
    expect(await rows.query().select('name')).toEqual([{ name: null }]);
    expect(await rows.query().patch({ name: 'all' })).toBe(1);
  });

  it('refuses SQL in place of an encrypted value, and the change of a part of one', async () => {
    const { raw, rows } = open();
    await rows.query().insert({ id: 'a', name: 'clear', notes: 'x' });
    const before = raw.row('a');
    const expected = 'ERR_COLUMN_STATEMENT_REFUSED';
    const patch = (change: object) => codeOf(() => rows.query().patch({ id: 'a', ...change }));
    expect(await patch({ notes: rawSql('?', [CANARY]) })).toBe(expected);
    expect(await patch({ notes: ref('name') })).toBe(expected);
    expect(await patch({ notes: rows.query().select('name').limit(1) })).toBe(expected);
    expect(await patch({ 'credentials:apiKey': CANARY })).toBe(expected);
    const row = await rows.query().findById('a').throwIfNotFound();
    expect(await codeOf(() => row.$query().patch({ id: 'z' }))).toBe(expected);
    await row.$query().patch({ id: 'a', name: 'clear' });
    expect(raw.row('a')).toEqual(before);
  });

  it('is named by the columns of the database where properties have other names', async () => {
    const raw = new Raw();
    const db = knex({ client: 'better-sqlite3', connection: { filename: raw.file }, useNullAsDefault: true });
    onTestFinished(() => db.destroy());
    raw.db.exec('CREATE TABLE api_keys (key_id INTEGER PRIMARY KEY, api_key TEXT)');
    const codec = notesCodec({ table: 'api_keys', column: 'api_key' });
    class ApiKey extends encryptedModel(Model, { columns: { api_key: codec }, key: ['key_id'] }) {
      static override tableName = 'api_keys';
      static override idColumn = 'key_id';
      static override columnNameMappers = snakeCaseMappers();
      declare keyId: number;
      declare apiKey: string;
    }
    const rows = ApiKey.bindKnex(db);
    await rows.query().insert({ keyId: 7, apiKey: CANARY });
    raw.expectNoCanary();
    const found = await rows.query().findById(7).throwIfNotFound();
    expect(found).toMatchObject({ keyId: 7, apiKey: CANARY });
    await found.$query().patch({ apiKey: `${CANARY} changed` });
    raw.expectNoCanary();
    const { api_key: stored } = raw.db.prepare('SELECT api_key FROM api_keys').get() as { api_key: string };
    expect(codec.decode(stored, { key: { key_id: 7 } })).toBe(`${CANARY} changed`);
  });

  it('reads for the tenant of the request only', async () => {
    const { rows } = open({ tenant: tenantFromContext });
    const as = <T>(tenant: string, work: () => PromiseLike<T>) => withContext({ tenant }, async () => work());
    await as('acme', () => rows.query().insert({ id: 'a', credentials }));
    expect(await as('acme', () => rows.query())).toMatchObject([{ credentials }]);
    expect(await codeOf(() => as('globex', () => rows.query()))).toBe('ERR_ENVELOPE_DECRYPT');
    expect(await codeOf(() => rows.query())).toBe('ERR_COLUMN_TENANT_MISSING');
  });

  it('reads old plaintext and version 1 only where that is allowed', async () => {
    const [strict, mixed] = [open(), open({ legacy: 'allow', v1: 'allow' })];
    for (const { raw } of [strict, mixed]) {
      raw.run('INSERT INTO connections (id, credentials) VALUES (?, ?)', 'a', JSON.stringify(credentials));
      raw.run('INSERT INTO connections (id, credentials) VALUES (?, ?)', 'b', V1);
    }
    expect(await codeOf(() => strict.rows.query().findById('a'))).toBe('ERR_COLUMN_PLAINTEXT_REFUSED');
    expect(await codeOf(() => strict.rows.query().findById('b'))).toBe('ERR_COLUMN_V1_REFUSED');
    await mixed.rows.query().insert({ id: 'c', credentials });
    expect((await mixed.rows.query()).map((row) => row.credentials)).toEqual([credentials, credentials, credentials]);
  });

  it('takes options whose names are held to those of the rows, when it is compiled', () => {
    type Row = { id: string; tenant: string; notes: string | null };
    const notes = notesCodec();
    const right = encryptedModel(Model, { columns: { notes }, tenant: 'tenant' } satisfies EncryptedTable<Row>);
    // @ts-expect-error a column that the rows do not have
    const wrong = encryptedModel(Model, { columns: { note: notes } } satisfies EncryptedTable<Row>);
    expect([right.binds, wrong.binds]).toEqual(['row', 'row']);
  });
});
