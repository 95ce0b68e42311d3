import { prismaEncryption } from '@keywright/envelope/codecs/prisma';
import { type ColumnCodecOptions, columnCodec, tenantFromContext, withContext } from '@keywright/envelope/columns';
import { encryptCredentials } from '@keywright/envelope/compat';
import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3';
import { DbNull, getPrismaClient, JsonNull, skip } from '@prisma/client/runtime/client';
import { describe, expect, it, onTestFinished } from 'vitest';
import { thrown } from '../support.ts';
import { config } from './prisma/config.ts';
import { CANARY, codeOf, credentials, keyring, Raw } from './support.ts';

type Operation = (
  args?: object,
) => PromiseLike<unknown> & { notes(): PromiseLike<unknown>; connection(): PromiseLike<unknown> };
type Delegate = Record<
  | 'create'
  | 'createMany'
  | 'createManyAndReturn'
  | 'update'
  | 'updateMany'
  | 'updateManyAndReturn'
  | 'upsert'
  | 'findUnique'
  | 'findFirst'
  | 'findMany'
  | 'deleteMany'
  | 'delete'
  | 'count'
  | 'aggregate'
  | 'groupBy',
  Operation
>;
interface Client extends Record<'connection' | 'note' | 'part', Delegate> {
  readonly $extends: unknown;
  $disconnect(): Promise<void>;
  $queryRawUnsafe(text: string): Promise<unknown>;
  $queryRaw(text: TemplateStringsArray, ...values: unknown[]): Promise<unknown>;
  $executeRaw(text: TemplateStringsArray, ...values: unknown[]): Promise<unknown>;
  $transaction(work: readonly PromiseLike<unknown>[] | ((client: Client) => Promise<unknown>)): Promise<unknown>;
}

const TABLES = `
  DROP TABLE connections;
  CREATE TABLE connections (connection_id TEXT PRIMARY KEY, tenant TEXT, name TEXT UNIQUE, credentials JSONB, secret TEXT);
  CREATE TABLE "Note" (id TEXT PRIMARY KEY, body TEXT NOT NULL, "connectionId" TEXT NOT NULL);
  CREATE TABLE "Part" (a TEXT, b INTEGER, data BLOB, PRIMARY KEY (a, b));
`;

function open(options: Partial<ColumnCodecOptions> = {}, tenant?: string) {
  const raw = new Raw();
  raw.db.exec(TABLES);
  const PrismaClient = getPrismaClient(config) as unknown as new (options: object) => Client;
  const bare = new PrismaClient({ adapter: new PrismaBetterSqlite3({ url: `file:${raw.file}` }) });
  onTestFinished(() => bare.$disconnect());
  const base = { keyring, table: 'connections', ...options };
  const json = columnCodec<unknown>({ ...base, column: 'credentials', storage: 'json' });
  const secret = columnCodec({ ...base, column: 'secret', payload: 'text' });
  const body = columnCodec({ ...base, table: 'Note', column: 'body', payload: 'text' });
  const data = columnCodec({ ...base, table: 'Part', column: 'data', payload: 'bytes' });
  const db = prismaEncryption(bare, {
    models: {
      Connection: { columns: { credentials: json, secret }, ...(tenant && { tenant }) },
      Note: { columns: { body } },
      Part: { columns: { data }, key: ['a', 'b'] },
    },
  });
  return { raw, bare, db, json, secret };
}

const stored = (raw: Raw, id: string) =>
  raw.db.prepare('SELECT * FROM connections WHERE connection_id = ?').get(id) as Record<string, unknown>;
const REFUSED = 'ERR_COLUMN_STATEMENT_REFUSED';
const NO_KEY = 'ERR_COLUMN_ROW_KEY_MISSING';

async function filled(options: Partial<ColumnCodecOptions> = {}) {
  const opened = open(options);
  await opened.db.connection.create({ data: { id: 'a', name: 'one', secret: 'of a' } });
  await opened.db.connection.create({ data: { id: 'b', name: 'two', secret: 'of b' } });
  return opened;
}

describe('an encrypted Prisma client', () => {
  it('encrypts on create, update and upsert, decrypts what it finds', async () => {
    const { raw, db } = open();
    const created = await db.connection.create({ data: { id: 'a', name: 'n', credentials, secret: CANARY } });
    expect(created).toMatchObject({ id: 'a', credentials, secret: CANARY });
    expect(stored(raw, 'a').secret).toMatch(/^kw2\.A256GCM\.v1\./);
    raw.expectNoCanary();
    await db.connection.createMany({
      data: [
        { id: 'b', secret: `${CANARY} b` },
        { id: 'c', secret: null, credentials: DbNull },
      ],
    });
    expect(await db.connection.findMany({ orderBy: { id: 'asc' } })).toMatchObject([
      { credentials, secret: CANARY },
      { credentials: null, secret: `${CANARY} b` },
      { credentials: null, secret: null },
    ]);
    expect(stored(raw, 'c')).toMatchObject({ secret: null, credentials: null });
    await db.connection.update({
      where: { id: 'a' },
      data: { secret: { set: `${CANARY} set` }, credentials: [CANARY] },
    });
    await db.connection.update({ where: { id: 'b', AND: [{ name: null }] }, data: { credentials: JsonNull } });
    const upsert = (id: string) => ({
      where: { id },
      create: { id, secret: `${CANARY} new` },
      update: { secret: `${CANARY} old` },
    });
    expect(await db.connection.upsert(upsert('c'))).toMatchObject({ secret: `${CANARY} old` });
    expect(await db.connection.upsert(upsert('d'))).toMatchObject({ secret: `${CANARY} new` });
    const returned = await db.connection.updateManyAndReturn({
      where: { id: { equals: 'd' } },
      data: { secret: `${CANARY} d` },
    });
    expect(returned).toMatchObject([{ secret: `${CANARY} d` }]);
    raw.expectNoCanary();
    expect(
      await db.connection.findFirst({ where: { id: 'a', secret: { not: null } }, select: { id: true, secret: true } }),
    ).toEqual({
      id: 'a',
      secret: `${CANARY} set`,
    });
    expect(await db.connection.findUnique({ where: { id: 'a' }, omit: { secret: true } })).toMatchObject({
      credentials: [CANARY],
    });
    expect(await db.connection.delete({ where: { id: 'b' } })).toMatchObject({ id: 'b', credentials: null });
    expect(await db.connection.count({ where: { secret: null } })).toBe(0);
  });

  it('follows relations, in writes and in results', async () => {
    const { raw, db } = open();
    const body = (text: string) => `${CANARY} ${text}`;
    await db.connection.create({
      data: {
        id: 'a',
        secret: body('s'),
        notes: {
          create: [{ id: '1', body: body('1') }],
          connectOrCreate: { where: { id: '2' }, create: { id: '2', body: body('2') } },
        },
      },
    });
    await db.connection.update({
      where: { id: 'a' },
      data: {
        notes: {
          createMany: { data: [{ id: '3', body: body('3') }] },
          update: { where: { id: '1' }, data: { body: body('1 changed') } },
          updateMany: { where: { id: '2' }, data: { body: body('2 changed') } },
          upsert: { where: { id: '4' }, create: { id: '4', body: body('4') }, update: { body: body('x') } },
        },
      },
    });
    raw.expectNoCanary();
    const notes = [body('1 changed'), body('2 changed'), body('3'), body('4')].map((text, index) => ({
      id: String(index + 1),
      body: text,
    }));
    const where = { id: 'a' };
    expect(await db.connection.findUnique({ where, include: { notes: { orderBy: { id: 'asc' } } } })).toMatchObject({
      secret: body('s'),
      notes,
    });
    expect(await db.connection.findFirst({ select: { notes: { select: { id: true, body: true } } } })).toEqual({
      notes,
    });
    expect(await db.connection.findUnique({ where }).notes()).toMatchObject(notes);
    expect(await db.note.findUnique({ where: { id: '1' } }).connection()).toMatchObject({ id: 'a', secret: body('s') });
    await db.note.update({ where: { id: '1' }, data: { body: body('y'), connection: { update: { name: 'n' } } } });
    const nested = db.note.update({ where: { id: '1' }, data: { connection: { update: { secret: body('z') } } } });
    expect(await codeOf(() => nested)).toBe(NO_KEY);
    const keyed = { connection: { update: { where, data: { secret: body('z') } } } };
    expect(await db.note.update({ where: { id: '1' }, data: keyed, include: { connection: true } })).toMatchObject({
      body: body('y'),
      connection: { secret: body('z'), name: 'n' },
    });
    raw.expectNoCanary();
  });

  it('binds composite keys, and bytes', async () => {
    const { raw, db } = open();
    const where = { a_b: { a: 'a', b: 1 } };
    await db.part.create({ data: { a: 'a', b: 1, data: Buffer.from('x') } });
    await db.part.update({ where, data: { data: Buffer.from(CANARY) } });
    raw.expectNoCanary();
    expect(await db.part.findUnique({ where })).toEqual({ a: 'a', b: 1, data: Buffer.from(CANARY) });
    raw.run('UPDATE "Part" SET b = 2');
    expect(await codeOf(() => db.part.findMany())).toBe('ERR_ENVELOPE_DECRYPT');
  });

  it('binds the key under the name of its column in the database', async () => {
    const { raw, secret } = await filled();
    expect(secret.decode(stored(raw, 'a').secret, { key: { connection_id: 'a' } })).toBe('of a');
  });

  it('takes part in transactions', async () => {
    const { raw, db } = await filled();
    const work = async (tx: Client) => {
      await tx.connection.update({ where: { id: 'a' }, data: { secret: CANARY } });
      return tx.connection.findUnique({ where: { id: 'a' } });
    };
    expect(await db.$transaction(work)).toMatchObject({ secret: CANARY });
    expect(await db.$transaction([db.connection.findMany({ where: { id: 'a' } })])).toMatchObject([
      [{ secret: CANARY }],
    ]);
    raw.expectNoCanary();
  });

  it('refuses swapped rows and what was copied from another column', async () => {
    const { raw, db } = await filled();
    const [a, b] = [stored(raw, 'a').secret, stored(raw, 'b').secret];
    raw.run("UPDATE connections SET secret = ? WHERE connection_id = 'a'", b);
    expect(await codeOf(() => db.connection.findUnique({ where: { id: 'a' } }))).toBe('ERR_ENVELOPE_DECRYPT');
    raw.run("UPDATE connections SET secret = ? WHERE connection_id = 'a'", a);
    expect(await db.connection.findUnique({ where: { id: 'a' } })).toMatchObject({ secret: 'of a' });
    await db.note.create({ data: { id: 'a', body: 'x', connectionId: 'a' } });
    raw.run('UPDATE "Note" SET body = ?', a);
    expect(await codeOf(() => db.connection.findMany({ include: { notes: true } }))).toBe('ERR_ENVELOPE_DECRYPT');
  });

  it('needs the primary key where it binds the row', async () => {
    const { raw, db } = await filled();
    const before = stored(raw, 'a');
    for (const query of [
      () => db.connection.create({ data: { secret: CANARY } }),
      () => db.connection.update({ where: { name: 'one' }, data: { secret: CANARY } }),
      () => db.connection.updateMany({ where: { id: { in: ['a'] } }, data: { secret: CANARY } }),
      () => db.connection.updateMany({ data: { secret: CANARY } }),
      () => db.connection.findMany({ select: { secret: true } }),
      () => db.connection.findMany({ omit: { id: true } }),
      () => db.note.findMany({ include: { connection: { select: { secret: true } } } }),
      () => db.connection.update({ where: { id: 'a' }, data: { secret: 'x' }, select: { secret: true } }),
    ]) {
      expect(await codeOf(query)).toBe(NO_KEY);
    }
    expect(stored(raw, 'a')).toEqual(before);
    expect(await db.connection.findMany({ select: { name: true }, orderBy: { name: 'asc' } })).toEqual([
      { name: 'one' },
      { name: 'two' },
    ]);
  });

  it('refuses what it cannot follow, before it runs', async () => {
    const { raw, bare, db } = await filled();
    const before = stored(raw, 'a');
    const where = { secret: CANARY };
    for (const query of [
      () => db.connection.findMany({ where }),
      () => db.connection.findMany({ where: { OR: [{ name: 'x' }, { NOT: where }] } }),
      () => db.note.findMany({ where: { connection: where } }),
      () => db.note.findMany({ where: { connection: { is: where } } }),
      () => db.connection.findMany({ where: { notes: { some: { body: { contains: CANARY } } } } }),
      () => db.connection.findMany({ include: { notes: { where: { body: CANARY } } } }),
      () => db.connection.findMany({ select: { _count: { select: { notes: { where: { body: CANARY } } } } } }),
      () => db.connection.findMany({ orderBy: { secret: 'asc' } }),
      () => db.note.findMany({ orderBy: [{ connection: { secret: 'asc' } }] }),
      () => db.connection.findMany({ distinct: ['secret'] }),
      () => db.part.findMany({ where: { a_data: { a: 'x', data: Buffer.from('x') } } }),
      () => db.connection.findMany({ orderBy: { _relevance: { fields: ['secret'], search: 'x', sort: 'asc' } } }),
      () => db.connection.groupBy({ by: ['name'], orderBy: { _max: { secret: 'asc' } } }),
      () => db.connection.groupBy({ by: ['secret'] }),
      () => db.connection.groupBy({ by: ['name'], _max: { secret: true } }),
      () => db.connection.aggregate({ _min: { secret: true } }),
      () => db.connection.deleteMany({ where }),
      () => db.connection.count({ where }),
      () => db.connection.update({ where: { id: 'a' }, data: { id: 'z' } }),
      () => db.connection.update({ where: { id: 'a' }, data: { secret: { other: CANARY } } }),
      () => db.connection.update({ where: { id: 'a' }, data: { notes: { deleteMany: { body: CANARY } } } }),
      () => db.$queryRaw`SELECT * FROM connections`,
      () => db.$queryRawUnsafe('SELECT * FROM "connections"'),
      () => db.$executeRaw`UPDATE connections SET secret = ${CANARY}`,
    ]) {
      expect(await codeOf(query), String(query)).toBe(REFUSED);
    }
    expect(stored(raw, 'a')).toEqual(before);
    expect(await db.$queryRaw`SELECT ${'connections'} AS one`).toEqual([{ one: 'connections' }]);
    expect(await bare.$queryRaw`SELECT secret FROM connections`).toHaveLength(2);
    expect(await db.connection.count({ select: { secret: true } })).toEqual({ secret: 2 });
  });

  it('takes no key from what a condition excludes', async () => {
    const { raw, db } = await filled();
    const before = [stored(raw, 'a'), stored(raw, 'b')];
    for (const where of [{ NOT: { id: 'a' } }, { AND: { id: 'a' } }, { OR: [{ id: 'a' }] }]) {
      expect(await codeOf(() => db.connection.updateMany({ where, data: { secret: CANARY } }))).toBe(NO_KEY);
    }
    expect([stored(raw, 'a'), stored(raw, 'b')]).toEqual(before);
  });

  it('leaves what is skipped as it was', async () => {
    const { raw, db } = await filled();
    const changed = await db.connection.update({ where: { id: 'a' }, data: { credentials: skip, secret: skip } });
    expect(changed).toMatchObject({ credentials: null, secret: 'of a' });
    expect(stored(raw, 'a').credentials).toBeNull();
  });

  it('finds null as Prisma spells it in JSON fields', async () => {
    const { db } = await filled();
    await db.connection.update({ where: { id: 'b' }, data: { credentials } });
    const find = (filter: object) => db.connection.findMany({ where: { credentials: filter }, select: { id: true } });
    expect(await find({ equals: DbNull })).toEqual([{ id: 'a' }]);
    expect(await find({ not: DbNull })).toEqual([{ id: 'b' }]);
  });

  it('refuses to guess whether `data` is a field of a related row or all of them', async () => {
    const { raw, json, secret } = open();
    const changed = structuredClone(config.runtimeDataModel) as unknown as {
      models: Record<string, { fields: object[] }>;
    };
    changed.models.Connection?.fields.push({ name: 'data', kind: 'scalar', type: 'Json' });
    const PrismaClient = getPrismaClient({ ...config, runtimeDataModel: changed as never }) as unknown as new (
      options: object,
    ) => Client;
    const bare = new PrismaClient({ adapter: new PrismaBetterSqlite3({ url: `file:${raw.file}` }) });
    onTestFinished(() => bare.$disconnect());
    const columns = { credentials: json, secret };
    const db = prismaEncryption(bare, { models: { Connection: { columns } } });
    const update = { data: { secret: CANARY } };
    expect(await codeOf(() => db.note.update({ where: { id: 'n' }, data: { connection: { update } } }))).toBe(REFUSED);
  });

  it('binds the tenant of the row', async () => {
    const { raw, db } = open({}, 'tenant');
    await db.connection.create({ data: { id: 'a', tenant: 'acme', secret: 'x' } });
    const data = { secret: 'y' };
    expect(await codeOf(() => db.connection.update({ where: { id: 'a' }, data }))).toBe('ERR_COLUMN_TENANT_MISSING');
    await db.connection.update({ where: { id: 'a', tenant: 'acme' }, data });
    expect(await codeOf(() => db.connection.update({ where: { id: 'a' }, data: { tenant: 'globex' } }))).toBe(REFUSED);
    expect(await db.connection.findMany()).toMatchObject([data]);
    raw.run("UPDATE connections SET tenant = 'globex'");
    expect(await codeOf(() => db.connection.findMany())).toBe('ERR_ENVELOPE_DECRYPT');
  });

  it('reads for the tenant of the request only', async () => {
    const { db } = open({ tenant: tenantFromContext });
    const as = (tenant: string, work: () => PromiseLike<unknown>) => withContext({ tenant }, async () => work());
    await as('acme', () => db.connection.create({ data: { id: 'a', secret: 'x' } }));
    const read = () => db.connection.findMany();
    expect(await as('acme', read)).toMatchObject([{ secret: 'x' }]);
    expect(await codeOf(() => as('globex', read))).toBe('ERR_ENVELOPE_DECRYPT');
    expect(await codeOf(read)).toBe('ERR_COLUMN_TENANT_MISSING');
  });

  it('reads old plaintext and version 1 only where that is allowed', async () => {
    const [strict, mixed] = [open(), open({ legacy: 'allow', v1: 'allow' })];
    const v1 = JSON.stringify(encryptCredentials(credentials, keyring));
    for (const { raw } of [strict, mixed]) {
      raw.run("INSERT INTO connections (connection_id, credentials) VALUES ('a', ?)", JSON.stringify(credentials));
      raw.run("INSERT INTO connections (connection_id, credentials) VALUES ('b', ?)", v1);
    }
    const read = (id: string) => strict.db.connection.findUnique({ where: { id } });
    expect(await codeOf(() => read('a'))).toBe('ERR_COLUMN_PLAINTEXT_REFUSED');
    expect(await codeOf(() => read('b'))).toBe('ERR_COLUMN_V1_REFUSED');
    await mixed.db.connection.create({ data: { id: 'c', credentials } });
    const all = (await mixed.db.connection.findMany()) as { credentials: unknown }[];
    expect(all.map((row) => row.credentials)).toEqual([credentials, credentials, credentials]);
  });

  it('is not made of models, fields or a client that are not there', () => {
    const { bare, secret } = open();
    const make = (client: Client, models: object) => thrown(() => prismaEncryption(client, { models } as never)).code;
    const expected = 'ERR_COLUMN_INVALID_ARGUMENT';
    expect(make({} as Client, { Connection: { columns: { secret } } })).toBe(expected);
    expect(make(bare, {})).toBe(expected);
    expect(make(bare, { connections: { columns: { secret } } })).toBe(expected);
    expect(make(bare, { Connection: { columns: { secrets: secret } } })).toBe(expected);
    expect(make(bare, { Connection: { columns: { secret }, key: ['connection_id'] } })).toBe(expected);
    expect(make(bare, { Connection: { columns: { secret }, tenant: 'tenant_id' } })).toBe(expected);
  });
});
