import { drizzleType } from '@keywright/envelope/codecs/drizzle';
import { type ColumnCodecOptions, columnCodec, tenantFromContext, withContext } from '@keywright/envelope/columns';
import { eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { mysqlTable, customType as mysqlType } from 'drizzle-orm/mysql-core';
import { pgTable, customType as pgType } from 'drizzle-orm/pg-core';
import { customType, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { describe, expect, it } from 'vitest';
import { thrown } from '../support.ts';
import {
  CANARY,
  type Credentials,
  codeOf,
  credentials,
  credentialsCodec,
  keyring,
  notesCodec,
  Raw,
  V1,
} from './support.ts';

function open(options: Partial<ColumnCodecOptions> = {}) {
  const raw = new Raw();
  const bound = { binds: 'column', ...options } as const;
  const json = customType<{ data: Credentials | null; driverData: unknown }>(drizzleType(credentialsCodec(bound)));
  const note = customType<{ data: string | null; driverData: unknown }>(drizzleType(notesCodec(bound)));
  const connections = sqliteTable('connections', { id: text().primaryKey(), credentials: json(), notes: note() });
  return { raw, connections, db: drizzle({ client: raw.db, schema: { connections } }) };
}

describe('a Drizzle custom type', () => {
  it('encrypts on insert, update and upsert, decrypts on every kind of select', () => {
    const { raw, connections, db } = open();
    const inserted = db.insert(connections).values({ id: 'a', credentials, notes: CANARY }).returning().all();
    expect(inserted).toEqual([{ id: 'a', credentials, notes: CANARY }]);
    expect(raw.row('a').credentials).toMatch(/^kw2\.A256GCM\.v1\./);
    raw.expectNoCanary();
    db.update(connections)
      .set({ notes: `${CANARY} changed` })
      .where(eq(connections.id, 'a'))
      .run();
    const upsert = { id: 'a', credentials: { apiKey: `${CANARY} too` } };
    db.insert(connections).values(upsert).onConflictDoUpdate({ target: connections.id, set: upsert }).run();
    raw.expectNoCanary();
    const expected = { id: 'a', credentials: { apiKey: `${CANARY} too` }, notes: `${CANARY} changed` };
    expect(db.select().from(connections).all()).toEqual([expected]);
    expect(db.select({ c: connections.credentials }).from(connections).all()).toEqual([{ c: expected.credentials }]);
    expect(db.query.connections.findMany().sync()).toEqual([expected]);
  });

  it('keeps null', () => {
    const { raw, connections, db } = open();
    db.insert(connections).values({ id: 'a', credentials: null, notes: null }).run();
    expect(raw.row('a')).toMatchObject({ credentials: null, notes: null });
    expect(db.select().from(connections).all()).toEqual([{ id: 'a', credentials: null, notes: null }]);
  });

  it('does not see that two rows were swapped', () => {
    const { raw, connections, db } = open();
    db.insert(connections)
      .values([
        { id: 'a', notes: 'of a' },
        { id: 'b', notes: 'of b' },
      ])
      .run();
    raw.swap('notes', 'a', 'b');
    expect(db.select().from(connections).where(eq(connections.id, 'a')).all()).toMatchObject([{ notes: 'of b' }]);
    expect(drizzleType(notesCodec({ binds: 'column' })).binds).toBe('column');
  });

  it('refuses what was copied from another column', async () => {
    const { raw, connections, db } = open();
    db.insert(connections).values({ id: 'a', notes: '{}' }).run();
    raw.run('UPDATE connections SET credentials = notes');
    expect(await codeOf(() => db.select().from(connections).all())).toBe('ERR_ENVELOPE_DECRYPT');
  });

  it('reads for the tenant of the request only', async () => {
    const { connections, db } = open({ tenant: tenantFromContext });
    const as = <T>(tenant: string, work: () => T): T => withContext({ tenant }, work);
    as('acme', () => db.insert(connections).values({ id: 'a', credentials }).run());
    const read = () => db.select().from(connections).all();
    expect(as('acme', read)).toMatchObject([{ credentials }]);
    expect(await codeOf(() => as('globex', read))).toBe('ERR_ENVELOPE_DECRYPT');
    expect(await codeOf(read)).toBe('ERR_COLUMN_TENANT_MISSING');
    // Awaited outside, the query runs outside.
    const query = as('acme', () => db.select().from(connections));
    expect(await codeOf(() => query)).toBe('ERR_COLUMN_TENANT_MISSING');
  });

  it('reads old plaintext and version 1 only where that is allowed', async () => {
    let legacy = 0;
    const strict = open();
    const mixed = open({ legacy: 'allow', v1: 'allow', onLegacy: () => void legacy++ });
    for (const { raw } of [strict, mixed]) {
      raw.run('INSERT INTO connections (id, credentials) VALUES (?, ?)', 'a', JSON.stringify(credentials));
      raw.run('INSERT INTO connections (id, credentials) VALUES (?, ?)', 'b', V1);
    }
    const read = (id: string) => strict.db.select().from(strict.connections).where(eq(strict.connections.id, id)).all();
    expect(await codeOf(() => read('a'))).toBe('ERR_COLUMN_PLAINTEXT_REFUSED');
    expect(await codeOf(() => read('b'))).toBe('ERR_COLUMN_V1_REFUSED');
    mixed.db.insert(mixed.connections).values({ id: 'c', credentials }).run();
    const all = mixed.db.select().from(mixed.connections).all();
    expect(all.map((row) => row.credentials)).toEqual([credentials, credentials, credentials]);
    expect(legacy).toBe(1);
  });

  it('holds bytes in a blob column', () => {
    const { raw, db } = open();
    const codec = columnCodec({ keyring, table: 'files', column: 'content', payload: 'bytes', binds: 'column' });
    const blob = customType<{ data: Uint8Array | null; driverData: unknown }>(drizzleType(codec, 'blob'));
    const files = sqliteTable('files', { id: text().primaryKey(), content: blob() });
    raw.db.exec('CREATE TABLE files (id TEXT PRIMARY KEY, content BLOB)');
    db.insert(files)
      .values({ id: 'a', content: Buffer.from(CANARY) })
      .run();
    raw.expectNoCanary();
    expect(db.select().from(files).all()).toEqual([{ id: 'a', content: Buffer.from(CANARY) }]);
  });

  it('leaves SQL in place of a value to the database: it is not encrypted, and refused when read', async () => {
    const { connections, db } = open();
    db.insert(connections).values({ id: 'a', notes: sql`'clear'` }).run();
    expect(await codeOf(() => db.select().from(connections).all())).toBe('ERR_COLUMN_PLAINTEXT_REFUSED');
  });

  it('encrypts what a prepared statement is given, and shows what is stored inside of SQL', () => {
    const { raw, connections, db } = open();
    const values = { id: sql.placeholder('id'), notes: sql.placeholder('notes') };
    db.insert(connections).values(values).prepare().run({ id: 'a', notes: CANARY });
    raw.expectNoCanary();
    expect(db.select({ notes: connections.notes }).from(connections).all()).toEqual([{ notes: CANARY }]);
    const inside = db
      .select({ notes: sql`${connections.notes}` })
      .from(connections)
      .all();
    expect(inside).toEqual([{ notes: raw.row('a').notes }]);
  });

  it('fits the custom types of the other dialects', () => {
    const type = drizzleType(notesCodec({ binds: 'column' }), 'varchar(4000)');
    const pg = pgTable('t', { c: pgType<{ data: string | null; driverData: unknown }>(type)() });
    const mysql = mysqlTable('t', { c: mysqlType<{ data: string | null; driverData: unknown }>(type)() });
    expect([pg.c.getSQLType(), mysql.c.getSQLType()]).toEqual(['varchar(4000)', 'varchar(4000)']);
    expect(pg.c.mapFromDriverValue(mysql.c.mapToDriverValue(CANARY))).toBe(CANARY);
  });

  it('is not made of a codec that binds the row, or without a type', () => {
    expect(thrown(() => drizzleType(credentialsCodec())).code).toBe('ERR_COLUMN_INVALID_ARGUMENT');
    expect(thrown(() => drizzleType(notesCodec({ binds: 'column' }), '')).code).toBe('ERR_COLUMN_INVALID_ARGUMENT');
  });
});
