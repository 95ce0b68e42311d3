import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { types as pgTypes } from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Fixture, openUnmigrated } from './support.ts';

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const camel = (name: string): string => name.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase());

/** What a host may have set on its knex, and the store must not depend on. */
const HOSTS: Record<string, (config: Knex.Config) => Knex.Config> = {
  'identifiers mapped between camel and snake case': (config) => ({
    ...config,
    wrapIdentifier: (value, wrap) => wrap(value === '*' ? value : snake(value)),
    postProcessResponse: (result: unknown) =>
      Array.isArray(result)
        ? result.map(renamed)
        : typeof result === 'object' && result !== null && !('rows' in result)
          ? renamed(result)
          : result,
  }),
  'keys of objects in rows mapped too': (config) => ({
    ...config,
    postProcessResponse: (result: unknown) =>
      typeof result === 'object' && result !== null && 'rows' in result ? result : renamedDeep(result),
  }),
  'timestamps as text': (config) => withTypes(config, 1184, String),
  'timestamps as objects of a date library': (config) => withTypes(config, 1184, (text) => new DateTime(text)),
  'integers as bigints': (config) => ({
    ...withTypes(config, 23, BigInt),
    ...(config.client === 'better-sqlite3' ? { pool: safeIntegers(config.pool) } : {}),
  }),
  'SQL and bindings in errors': (config) => ({
    ...config,
    compileSqlOnError: true,
    asyncStackTraces: true,
    debug: false,
  }),
};

describeEachEngine('a host that configures knex with', (engine) => {
  let fixture: Fixture;

  beforeEach(async () => {
    fixture = await openUnmigrated(engine);
  });
  afterEach(async () => {
    await fixture?.close();
  });

  it.each(Object.keys(HOSTS))('%s is served as well', async (name) => {
    const configure = HOSTS[name] as (config: Knex.Config) => Knex.Config;
    const knex = createKnex(configure(fixture.knexConfig));
    try {
      const store = fixture.reopen(fixture.root, { knex });
      await store.migrate();
      const tenant = store.tenant('acme', { actor: 'x', request: { ip: '203.0.113.9' } });
      await tenant.save('key', 'one', { metadata: { camelCase: 1, snake_case: 2 } });
      await tenant.update('key', { value: 'two' });
      await knex.transaction(async (trx) => {
        const inside = store.tenant('acme', { actor: 'x', trx });
        expect((await inside.get('key', { version: 1 })).value).toBe('one');
        await inside.save('other', 'x');
      });
      expect(await tenant.get('key')).toMatchObject({
        value: 'two',
        version: 2,
        metadata: { camelCase: 1, snake_case: 2 },
      });
      expect((await tenant.versions('key')).items[0]?.createdAt.getTime()).toBeGreaterThan(Date.now() - 60_000);
      await tenant.delete('other');
      expect((await tenant.list()).items.map((item) => item.name)).toEqual(['key']);
      fixture.root.add('v2', new Uint8Array(32).fill(2));
      fixture.root.activate('v2');
      expect(await store.rotateRoot({ actor: 'x' })).toMatchObject({ rewrapped: 2, retired: ['v1'] });
      expect((await tenant.auditLog()).items.every(({ authentic }) => authentic)).toBe(true);
    } finally {
      await knex.destroy();
    }
  });
});

function renamed(row: object): object {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [camel(name), value]));
}

function renamedDeep(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(renamedDeep);
  const plain = typeof value === 'object' && value !== null && !Buffer.isBuffer(value) && !(value instanceof Date);
  if (!plain) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [camel(name), renamedDeep(member)]));
}

/** As Luxon's: an object that converts to milliseconds. */
class DateTime {
  readonly #millis: number;

  constructor(text: string) {
    this.#millis = Date.parse(text);
  }

  valueOf(): number {
    return this.#millis;
  }
}

/** The driver of PostgreSQL parses one type in another way; SQLite's has no types. */
function withTypes(config: Knex.Config, oid: number, parse: (text: string) => unknown): Knex.Config {
  const { connection } = config;
  if (typeof connection !== 'object' || !('connectionString' in connection)) return config;
  const getTypeParser = (asked: number, format: 'text'): unknown =>
    asked === oid ? parse : pgTypes.getTypeParser(asked, format);
  return { ...config, connection: { ...connection, types: { getTypeParser } } as Knex.PgConnectionConfig };
}

function safeIntegers(pool: Knex.PoolConfig | undefined): Knex.PoolConfig {
  return {
    ...pool,
    afterCreate(
      connection: { defaultSafeIntegers(on: boolean): unknown },
      done: (error: unknown, connection: unknown) => void,
    ) {
      connection.defaultSafeIntegers(true);
      done(null, connection);
    },
  };
}
