import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { generateKeyBase64 } from '@keywright/envelope';
import { knexFromEnv, openSecretStoreFromEnv, secretMigrationStatus } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterEach, describe, expect, it } from 'vitest';
import { rejection } from './support.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'keywright-env-'));
  cleanups.push(() => rmSync(path, { recursive: true }));
  return join(path, 'deep', 'config');
}

function open(env: Record<string, string>, config?: Knex.Config): Knex {
  const knex = knexFromEnv({ env, config });
  cleanups.push(() => knex.destroy());
  return knex;
}

const PASSWORD = ' hunter2 canary ';
const POSTGRES = {
  DB_TYPE: 'postgres',
  DB_HOST: '127.0.0.1',
  DB_PORT: '1',
  DB_USERNAME: 'app',
  DB_PASSWORD: PASSWORD,
  DB_DATABASE: 'app',
};

describe('knexFromEnv', () => {
  it('takes SQLite in FOLDER, for its owner alone, durable and with references enforced', async () => {
    const FOLDER = folder();
    const knex = open({ FOLDER, DB_TYPE: '' });
    const pragma = async (name: string) => Object.values((await knex.raw(`pragma ${name}`))[0] as object)[0] as unknown;
    expect(await pragma('journal_mode')).toBe('wal');
    expect(await pragma('foreign_keys')).toBe(1);
    expect(await pragma('busy_timeout')).toBe(5000);
    expect(await pragma('synchronous')).toBe(2);
    await knex.schema.createTable('t', (table) => table.text('c'));
    expect(statSync(FOLDER).mode & 0o777).toBe(0o700);
    for (const file of ['keywright.sqlite', 'keywright.sqlite-wal', 'keywright.sqlite-shm']) {
      expect(statSync(join(FOLDER, file)).mode & 0o777, file).toBe(0o600);
    }
  });

  it("keeps the host's configuration", async () => {
    const seen: string[] = [];
    const pool: Knex.PoolConfig = {
      afterCreate: (connection: unknown, done: (error: unknown, connection: unknown) => void) => {
        seen.push('afterCreate');
        done(null, connection);
      },
    };
    const knex = open({ FOLDER: folder() }, { pool, postProcessResponse: (result: unknown) => ({ result }) });
    expect(await knex.raw('select 1 as one')).toEqual({ result: [{ one: 1 }] });
    expect(seen).toEqual(['afterCreate']);
  });

  it('refuses a database file that every user of the machine can open', async () => {
    const FOLDER = folder();
    await open({ FOLDER }).raw('select 1');
    chmodSync(join(FOLDER, 'keywright.sqlite'), 0o644);
    expect(() => open({ FOLDER })).toThrow(
      expect.objectContaining({
        code: 'ERR_SECRETS_CONFIGURATION',
        context: expect.objectContaining({ variable: 'FOLDER' }),
      }),
    );
  });

  it.each([
    ['DB_TYPE', { DB_TYPE: 'mysql' }],
    ['DB_TYPE', { DB_TYPE: 'constructor' }],
    ['DB_SYNCHRONIZE', { DB_SYNCHRONIZE: 'true' }],
    ['DB_SYNCHRONIZE', { DB_SYNCHRONIZE: 'yes' }],
    ['DB_MIGRATIONS_RUN', { DB_MIGRATIONS_RUN: '1' }],
    ['DB_HOST', { ...POSTGRES, DB_HOST: '' }],
    ['DB_PORT', { ...POSTGRES, DB_PORT: undefined }],
    ['DB_USERNAME', { ...POSTGRES, DB_USERNAME: ' ' }],
    ['DB_PASSWORD', { ...POSTGRES, DB_PASSWORD: undefined }],
    ['DB_DATABASE', { ...POSTGRES, DB_DATABASE: undefined }],
    ['DB_PORT', { ...POSTGRES, DB_PORT: '0' }],
    ['DB_PORT', { ...POSTGRES, DB_PORT: '65536' }],
    ['DB_PORT', { ...POSTGRES, DB_PORT: '5432x' }],
    ['DB_PORT', { ...POSTGRES, DB_PORT: '1e3' }],
    ['FOLDER', { FOLDER: '/dev/null/config' }],
  ])('refuses %s: %o', (variable, env) => {
    let error: unknown;
    try {
      knexFromEnv({ env });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ name: 'SecretsError', code: 'ERR_SECRETS_CONFIGURATION', context: { variable } });
    expect(inspect(error, { depth: 9 }) + JSON.stringify(error)).not.toContain('hunter2');
  });

  it.each([[null], ['x'], [7]])('refuses options that are none: %s', (options) => {
    expect(() => knexFromEnv(options as never)).toThrow(
      expect.objectContaining({ code: 'ERR_SECRETS_INVALID_ARGUMENT' }),
    );
  });

  it('does not show the password, and passes it on as it is', () => {
    const knex = open({ ...POSTGRES, DB_SYNCHRONIZE: 'false' });
    expect(inspect(knex.client.config, { depth: 9 })).not.toContain('hunter2');
    const { connection } = knex.client.config as { connection: object };
    expect(connection).toMatchObject({ host: '127.0.0.1', port: 1, user: 'app', database: 'app' });
    expect(Reflect.get(connection, 'password')).toBe(PASSWORD);
  });
});

describe('openSecretStoreFromEnv', () => {
  const KEYWRIGHT_KEY = generateKeyBase64();

  it('migrates, is ready, and closes what it opened', async () => {
    const env = { FOLDER: folder(), KEYWRIGHT_KEY };
    const store = await openSecretStoreFromEnv({ env });
    const acme = store.tenant('acme', { actor: 'x' });
    await acme.save('key', 'value');
    await store.close();
    expect(await rejection(acme.get('key'))).toMatchObject({ code: 'ERR_SECRETS_DATABASE_CLOSED' });
    const again = await openSecretStoreFromEnv({ env: { ...env, DB_MIGRATIONS_RUN: 'false' } });
    expect((await again.tenant('acme', { actor: 'x' }).get('key')).value).toBe('value');
    await again.close();
  });

  it('leaves migrations to a deployment job when DB_MIGRATIONS_RUN is false', async () => {
    const FOLDER = folder();
    const attempt = openSecretStoreFromEnv({ env: { FOLDER, KEYWRIGHT_KEY, DB_MIGRATIONS_RUN: 'false' } });
    expect(await rejection(attempt)).toMatchObject({ code: 'ERR_SECRETS_NOT_MIGRATED' });
    expect(await secretMigrationStatus({ knex: open({ FOLDER }) })).toMatchObject({ applied: [] });
  });

  it('takes the options of a store', async () => {
    const env = { FOLDER: folder(), KEYWRIGHT_KEY };
    const store = await openSecretStoreFromEnv({ env, tables: { prefix: 'kw_' }, maxValueBytes: 3 });
    const attempt = store.tenant('acme', { actor: 'x' }).save('key', 'long');
    expect(await rejection(attempt)).toMatchObject({ code: 'ERR_SECRETS_VALUE_TOO_LARGE' });
    await store.close();
    expect(await open(env).schema.hasTable('kw_secrets')).toBe(true);
  });

  it('makes no file without a root key', async () => {
    const FOLDER = folder();
    expect(await rejection(openSecretStoreFromEnv({ env: { FOLDER } }))).toMatchObject({
      code: 'ERR_KEYRING_KEY_MISSING',
    });
    expect(() => statSync(FOLDER)).toThrow('ENOENT');
  });
});

describeEachEngine(
  'openSecretStoreFromEnv',
  (engine) => {
    it('opens what the variables name', async () => {
      const database = await engine.createDatabase();
      cleanups.push(() => database.drop());
      const { hostname, port, username, password, pathname } = new URL(database.url);
      const env = {
        KEYWRIGHT_KEY: generateKeyBase64(),
        DB_TYPE: 'postgres',
        DB_HOST: hostname,
        DB_PORT: port,
        DB_USERNAME: username,
        DB_PASSWORD: password,
        DB_DATABASE: pathname.slice(1),
      };
      const store = await openSecretStoreFromEnv({ env });
      await store.tenant('acme', { actor: 'x' }).save('key', 'value');
      await store.close();
      const refused = openSecretStoreFromEnv({
        env: { ...env, DB_PASSWORD: 'wrong' },
        config: { log: { warn() {} } }, // knex writes it to the console as well
      });
      const error = await rejection(refused);
      expect(error).toMatchObject({ code: 'ERR_SECRETS_DATABASE', retryable: false });
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(password);
    });
  },
  { engines: 'postgres' },
);
