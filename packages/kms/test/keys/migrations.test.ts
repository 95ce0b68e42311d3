import { createKmsKeys, kmsMigrationSource, migrateKmsTables } from '@keywright/kms';
import type { TestDatabase } from '@keywright/testkit/engines';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { FileBackend } from '../support/file-backend.ts';
import { registryOf } from '../support/key-fixture.ts';

const TABLES = ['kms_key_copies', 'kms_keys', 'kms_migrations', 'kms_software_keys'];

describeEachEngine('the key tables', (engine) => {
  let database: TestDatabase;
  let knex: Knex;
  beforeAll(async () => {
    database = await engine.createDatabase();
    knex = createKnex(database.knexConfig);
  });
  afterEach(async () => {
    for (const name of await names()) await knex.raw('drop table ??', [name]);
  });
  afterAll(async () => {
    await knex?.destroy();
    await database?.drop();
  });

  const names = async (like = '%'): Promise<readonly string[]> => {
    const rows =
      engine.dialect === 'sqlite'
        ? await knex('sqlite_master').where({ type: 'table' }).whereNot('name', 'like', 'sqlite%')
        : await knex('pg_tables').whereNotIn('schemaname', ['pg_catalog', 'information_schema']);
    return (rows as { name?: string; tablename?: string }[])
      .map(({ name, tablename }) => name ?? tablename ?? '')
      .filter((name) => like === '%' || name.startsWith(like))
      .toSorted();
  };

  it('are made once', async () => {
    expect(await migrateKmsTables({ knex })).toEqual({ before: [], ran: ['001-initial'] });
    expect(await names()).toEqual(TABLES);
    expect(await migrateKmsTables({ knex })).toEqual({ before: ['001-initial'], ran: [] });
  });

  it('lead every primary key with the tenant', async () => {
    await migrateKmsTables({ knex });
    const first = async (table: string): Promise<unknown> => {
      if (engine.dialect === 'sqlite') {
        return (
          (await knex.raw('select name from pragma_table_info(?) where pk = 1', [table])) as { name: string }[]
        )[0]?.name;
      }
      const sql = `select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indisprimary and i.indrelid = ?::regclass`;
      return ((await knex.raw(sql, [table])) as { rows: { attname: string }[] }).rows[0]?.attname;
    };
    for (const table of ['kms_keys', 'kms_key_copies', 'kms_software_keys'])
      expect(await first(table)).toBe('tenant_id');
  });

  it('are made by one of many processes that start together', async () => {
    const pools = Array.from({ length: 8 }, () => createKnex(database.knexConfig));
    try {
      const reports = await Promise.all(pools.map((pool) => migrateKmsTables({ knex: pool })));
      expect(reports.filter(({ ran }) => ran.length > 0)).toHaveLength(1);
      expect(await names()).toEqual(TABLES);
    } finally {
      await Promise.all(pools.map((pool) => pool.destroy()));
    }
  });

  it('go with the transaction that they are made in', async () => {
    const undo = new Error('undone');
    const undone = knex.transaction(async (trx) => {
      expect(await createKmsKeys({ knex: trx, registry: registryOf([]) }).migrate()).toMatchObject({ before: [] });
      throw undo;
    });
    await expect(undone).rejects.toBe(undo);
    expect(await names()).toEqual([]);
  });

  it('can stand twice in one database, and keep their keys apart', async () => {
    const backend = new FileBackend();
    try {
      const registry = registryOf([backend.provider('main')]);
      const one = createKmsKeys({ knex, registry, tables: { prefix: 'one_' } });
      const two = createKmsKeys({ knex, registry, tables: { prefix: 'two_' } });
      await one.migrate();
      await two.migrate();
      await one.tenant('acme').create({ keyId: 'k1' });
      expect(await two.tenant('acme').find('k1')).toBeUndefined();
      expect(await names('one_')).toEqual(TABLES.map((name) => `one_${name}`));
    } finally {
      backend.remove();
    }
  });

  it.each(['kms_keys', 'kms_key_copies', 'kms_software_keys', 'kms_migrations'])(
    'refuse a table %s of somebody else',
    async (table) => {
      await knex.raw('create table ?? (id integer primary key, note text)', [table]);
      await expect(migrateKmsTables({ knex })).rejects.toMatchObject({
        code: 'ERR_KMS_FOREIGN_TABLE',
        context: { table },
      });
      expect(await names()).toEqual([table]);
      await expect(migrateKmsTables({ knex, tables: { prefix: 'kw_' } })).resolves.toMatchObject({ before: [] });
    },
  );

  it('refuse a record of migrations of somebody else', async () => {
    await knex.raw('create table kms_migrations (name varchar(64) primary key, applied_at integer not null)');
    await knex('kms_migrations').insert({ name: '20240101_theirs.js', applied_at: 1 });
    await expect(migrateKmsTables({ knex })).rejects.toMatchObject({ code: 'ERR_KMS_FOREIGN_TABLE' });
  });

  it('refuse to be those of a newer release', async () => {
    await migrateKmsTables({ knex });
    await knex.raw(`insert into kms_migrations select '002-of-tomorrow', applied_at from kms_migrations`);
    await expect(migrateKmsTables({ knex })).rejects.toMatchObject({ code: 'ERR_KMS_SCHEMA_NEWER' });
  });

  it('refuse names and schemas that cannot be', async () => {
    for (const tables of [{ prefix: 'a"b' }, { prefix: 'A' }, { schema: 'x y' }, { schema: 1 }]) {
      const refused = migrateKmsTables({ knex, tables: tables as never });
      await expect(refused).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
    }
    const absent = migrateKmsTables({ knex, tables: { schema: 'nowhere' } });
    await expect(absent).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
    const none = migrateKmsTables({ knex: undefined as never });
    await expect(none).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
  });

  it('go up and down among the host’s own migrations, and know what has run', async () => {
    const options = { migrationSource: kmsMigrationSource(), tableName: 'knex_migrations_kms' };
    await migrateKmsTables({ knex });
    await knex.migrate.latest(options);
    expect(await names('kms_')).toEqual(TABLES);
    await knex.migrate.rollback(options);
    expect(await names('kms_')).toEqual(['kms_migrations']);
    await knex.migrate.latest(options);
    expect(await migrateKmsTables({ knex })).toMatchObject({ ran: [] });
    expect(await names('kms_')).toEqual(TABLES);
  });

  if (engine.dialect === 'sqlite') return;

  it('can be in a schema of their own', async () => {
    await knex.raw('create schema kw');
    const keys = createKmsKeys({ knex, registry: registryOf([]), tables: { schema: 'kw', prefix: 'p_' } });
    await keys.migrate();
    expect(await keys.tenant('acme').list()).toEqual({ keys: [], cursor: undefined });
    const rows = (await knex('pg_tables').where({ schemaname: 'kw' })) as { tablename: string }[];
    expect(rows.map(({ tablename }) => tablename).toSorted()).toEqual(TABLES.map((name) => `p_${name}`));
    await knex.raw('drop schema kw cascade');
  });
});
