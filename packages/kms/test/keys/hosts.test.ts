import { createKmsKeys } from '@keywright/kms';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { types as pgTypes } from 'pg';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type KeyFixture, openKeys, registryOf, rejection } from '../support/key-fixture.ts';

const DATA = Buffer.from('data to be signed');
const TENANT = `O'Brien "; drop table kms_keys; -- %_\\ ? ?? :x 🔑`;

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const camel = (name: string): string => name.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase());

/** What a host may have set on its knex, and the key table must not depend on. */
const HOSTS: Record<string, (config: Knex.Config) => Knex.Config> = {
  'identifiers mapped between camel and snake case': (config) => ({
    ...config,
    wrapIdentifier: (value, wrap) => wrap(value === '*' ? value : snake(value)),
    postProcessResponse: renamed,
  }),
  'timestamps as text': (config) => withTypes(config, 1184, String),
  'timestamps as objects of a date library': (config) =>
    withTypes(config, 1184, (text) => ({ valueOf: () => Date.parse(text) })),
  'JSON as text': (config) => withTypes(config, 3802, String),
  'integers as bigints': (config) => ({
    ...withTypes(withTypes(config, 23, BigInt), 20, BigInt),
    ...(config.client === 'better-sqlite3' ? { pool: safeIntegers(config.pool) } : {}),
  }),
  'transactions that see what was there when they began': (config) =>
    withSetting(config, `set session characteristics as transaction isolation level repeatable read`),
};

describeEachEngine('a host that configures knex with', (engine) => {
  let fixture: KeyFixture;
  beforeAll(async () => {
    fixture = await openKeys(engine, { main: {}, vault: { assignsIds: true } });
  });
  afterEach(() => fixture.empty());
  afterAll(() => fixture?.close());

  it.each(Object.keys(HOSTS))('%s is served as well', async (name) => {
    const configure = HOSTS[name] as (config: Knex.Config) => Knex.Config;
    const knex = createKnex(configure(fixture.database.knexConfig));
    const prefix = `host_${Object.keys(HOSTS).indexOf(name)}_`;
    const { main } = fixture;
    const registry = registryOf([main.provider('main'), fixture.backend('vault').provider('vault')]);
    const keys = createKmsKeys({ knex, registry, tables: { prefix } });
    try {
      const several = [1, 2, 3].map(() => createKmsKeys({ knex, registry, tables: { prefix } }).migrate());
      expect((await Promise.all(several)).filter(({ ran }) => ran.length > 0)).toHaveLength(1);
      const tenant = keys.tenant(TENANT);
      const made = await tenant.create({ keyId: 'k1', description: TENANT });
      expect(await tenant.get('k1')).toEqual(made);
      expect(Math.abs(made.createdAt.getTime() - Date.now())).toBeLessThan(60_000);
      await tenant.create({ keyId: 'k2' });
      await expect(tenant.create({ keyId: 'k2' })).rejects.toMatchObject({ code: 'ERR_KMS_KEY_EXISTS' });
      expect(await tenant.sign('k1', DATA)).toHaveLength(64);
      main.failAt('deleteKey', 'before', 'ERR_KMS_UNAVAILABLE', 2);
      expect(await tenant.move('k1', { to: 'vault', import: true })).toMatchObject({ former: 'deleting' });
      await rejection(tenant.delete('k2'));
      expect(await tenant.find('k2')).toMatchObject({ status: 'deleting', attempts: 1 });
      main.failAt('createKey', 'after', 'ERR_KMS_TIMEOUT', 1);
      await rejection(tenant.create({ keyId: 'k3' }));
      main.step = undefined;
      expect((await tenant.list({ limit: 2 })).keys.map(({ keyId }) => keyId)).toEqual(['k1', 'k2']);
      const { counts } = await keys.reconcile({ olderThanMs: 0, deleteOrphans: true });
      expect(counts).toMatchObject({ cleared: 1, deleted: 3, orphans: 0, missing: 0, failures: 0, underWay: 0 });
      expect((await tenant.list()).keys.map(({ keyId, status }) => `${keyId} ${status}`)).toEqual(['k1 active']);
      expect([main.ids(), fixture.backend('vault').ids().length]).toEqual([[], 1]);
    } finally {
      await knex.destroy();
    }
  });
});

function renamed(result: unknown): unknown {
  if (Array.isArray(result)) return result.map(renamed);
  if (typeof result !== 'object' || result === null || 'rows' in result || result instanceof Date) return result;
  return Object.fromEntries(Object.entries(result).map(([name, value]) => [camel(name), renamed(value)]));
}

/** The driver of PostgreSQL parses one type in another way; SQLite's has no types. */
function withTypes(config: Knex.Config, oid: number, parse: (text: string) => unknown): Knex.Config {
  const { connection } = config as { connection: Knex.PgConnectionConfig };
  if (config.client !== 'pg') return config;
  const before = (connection.types ?? pgTypes) as typeof pgTypes;
  const getTypeParser = (asked: number, format: 'text'): unknown =>
    asked === oid ? parse : before.getTypeParser(asked, format);
  return { ...config, connection: { ...connection, types: { getTypeParser } } as Knex.PgConnectionConfig };
}

type Done = (error: unknown, connection: unknown) => void;

function withSetting(config: Knex.Config, sql: string): Knex.Config {
  if (config.client !== 'pg') return config;
  const afterCreate = (connection: { query(sql: string, done: (error: unknown) => void): void }, done: Done): void =>
    connection.query(sql, (error) => done(error, connection));
  return { ...config, pool: { ...config.pool, afterCreate } };
}

function safeIntegers(pool: Knex.PoolConfig | undefined): Knex.PoolConfig {
  const afterCreate = (connection: { defaultSafeIntegers(on: boolean): unknown }, done: Done): void => {
    connection.defaultSafeIntegers(true);
    done(null, connection);
  };
  return { ...pool, afterCreate };
}
