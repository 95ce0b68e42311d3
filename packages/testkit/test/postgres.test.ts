import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { startCluster } from '../src/cluster.ts';
import { startFragilePostgres, startPostgres, type TestServer } from '../src/postgres.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const UNREACHABLE = 'postgres://admin:hunter2@127.0.0.1:1/postgres';

beforeEach(() => vi.stubEnv('KEYWRIGHT_TEST_PG_URL', undefined));
afterEach(() => vi.unstubAllEnvs());

async function setting(url: string, name: string): Promise<string> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ value: string }>('SELECT current_setting($1) AS value', [name]);
  await client.end();
  return (rows[0] as { value: string }).value;
}

describe('a server that is started', () => {
  let server: TestServer;
  beforeAll(async () => {
    vi.stubEnv('KEYWRIGHT_TEST_PG_URL', undefined);
    server = await startPostgres();
  });
  afterAll(() => server.stop());

  it.each([
    ['fsync', 'off'],
    ['synchronous_commit', 'on'],
    ['max_connections', '200'],
    ['unix_socket_directories', ''],
    ['listen_addresses', '127.0.0.1'],
    ['server_encoding', 'UTF8'],
    ['lc_messages', 'C'],
    ['is_superuser', 'on'],
  ])('has %s = %s', async (name, value) => {
    expect(await setting(server.url, name)).toBe(value);
  });

  it('refuses a wrong password', async () => {
    const url = new URL(server.url);
    url.password = 'wrong';
    await expect(setting(url.href, 'fsync')).rejects.toMatchObject({ code: '28P01' });
  });

  it('is the one that is used when its address is given, and is not stopped then', async () => {
    vi.stubEnv('KEYWRIGHT_TEST_PG_URL', server.url);
    const given = await startPostgres();
    expect(given.url).toBe(server.url);
    await given.stop();
    expect(await setting(server.url, 'fsync')).toBe('off');
  });

  it('makes another one fail that wants its port, and the error has the reason', () => {
    expect(() => startCluster(Number(new URL(server.url).port))).toThrow(
      expect.objectContaining({
        code: 'ERR_TESTKIT_SERVER_START_FAILED',
        message: expect.stringMatching(/^PostgreSQL did not start: pg_ctl failed.*Address already in use/s),
      }),
    );
  });
});

it('stop() ends the server and its connections and removes its data; again it does nothing', async () => {
  const { url, stop } = await startPostgres();
  const folder = dirname(await setting(url, 'data_directory'));
  const client = new Client({ connectionString: url });
  const ended = new Promise((resolve) => client.on('error', resolve));
  await client.connect();

  await stop();
  await stop();

  expect(existsSync(folder)).toBe(false);
  await expect(setting(url, 'fsync')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  expect(await ended).toMatchObject({ code: '57P01' });
});

it('a fragile server loses its connections when it is killed, and keeps what was committed', async () => {
  vi.stubEnv('KEYWRIGHT_TEST_PG_URL', UNREACHABLE); // it is never somebody else's
  const server = await startFragilePostgres();
  try {
    const before = new Client({ connectionString: server.url });
    const lost = new Promise((resolve) => before.on('error', resolve));
    await before.connect();
    await before.query('CREATE TABLE kept AS SELECT 1 AS n');
    await server.kill();
    await lost;
    await expect(setting(server.url, 'fsync')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await server.restart();
    const after = new Client({ connectionString: server.url });
    await after.connect();
    expect((await after.query('SELECT n FROM kept')).rows).toEqual([{ n: 1 }]);
    await after.end();
    await server.kill();
  } finally {
    await server.stop();
  }
});

it('an address that nobody answers at is an error that does not quote the password', async () => {
  vi.stubEnv('KEYWRIGHT_TEST_PG_URL', UNREACHABLE);
  const error = await startPostgres().catch((reason: unknown) => reason);
  expect(error).toMatchObject({ name: 'TestServerError', code: 'ERR_TESTKIT_SERVER_UNREACHABLE' });
  expect(String(error)).toMatch(/KEYWRIGHT_TEST_PG_URL.*ECONNREFUSED/);
  expect(String(error)).not.toContain('hunter2');
});
