import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Account, serverAccount } from './binaries.ts';
import { TestServerError } from './errors.ts';
import { atExit } from './exit-guard.ts';
import { freePort, type TestServer } from './postgres.ts';

const START_MS = 10_000;
const LOG_TAIL = 4096;

export interface PgBouncerOptions {
  /** Address of the PostgreSQL behind it, with a user and password. Every database of that server can be reached. */
  readonly upstream: string;
  /** When a connection to the server goes back to the pool. @default 'transaction' */
  readonly poolMode?: 'transaction' | 'session' | 'statement';
  /** Connections to the server for each pair of user and database. @default 5 */
  readonly poolSize?: number;
  /** Passwords of further users, by their names: those that they have on the server. */
  readonly users?: Readonly<Record<string, string>>;
}

/** Path of the program; `undefined` where it is not installed (on Debian: package `pgbouncer`). */
export function pgBouncerProgram(): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];
  return folders.map((folder) => join(folder, 'pgbouncer')).find((path) => existsSync(path));
}

/**
 * A PgBouncer on a free port of 127.0.0.1. `url` is `upstream` through it. It ends with this process at the latest.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_START_FAILED`
 */
export async function startPgBouncer(options: PgBouncerOptions): Promise<TestServer> {
  const program = pgBouncerProgram();
  if (program === undefined) throw failed('PgBouncer is not installed (on Debian: package pgbouncer)');
  const port = await freePort();
  const { process: child, folder, stop } = launch(program, port, options);
  const deadline = Date.now() + START_MS;
  while (!(await listens(port))) {
    if (child.exitCode === null && child.signalCode === null && Date.now() < deadline) {
      await sleep(10);
      continue;
    }
    const evidence = log(folder);
    await stop();
    throw failed(`PgBouncer did not start\n${evidence}`);
  }
  const url = new URL(options.upstream);
  url.host = `127.0.0.1:${port}`;
  return { url: url.href, stop };
}

interface Launched {
  readonly process: ChildProcess;
  readonly folder: string;
  stop(): Promise<void>;
}

// Nothing here yields: see startCluster.
function launch(program: string, port: number, options: PgBouncerOptions): Launched {
  const account = serverAccount();
  const folder = mkdtempSync(join(tmpdir(), 'keywright-pgbouncer-'));
  write(join(folder, 'users'), usersFile(options), account);
  write(join(folder, 'ini'), configuration(folder, port, options), account);
  give(folder, account);
  const out = openSync(join(folder, 'log'), 'w', 0o600);
  const child = spawn(program, [join(folder, 'ini')], { ...account, cwd: folder, stdio: ['ignore', out, out] });
  closeSync(out);
  child.unref(); // it keeps nobody from ending
  const exited = once(child, 'exit').catch(() => undefined);
  const cleanup = (): void => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  const forget = atExit(cleanup);
  const stop = async (): Promise<void> => {
    forget();
    child.ref();
    cleanup();
    await exited;
  };
  return { process: child, folder, stop };
}

function configuration(folder: string, port: number, options: PgBouncerOptions): string {
  const { hostname, port: upstreamPort } = new URL(options.upstream);
  return `[databases]
* = host=${hostname} port=${upstreamPort || 5432}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${folder}/users
pool_mode = ${options.poolMode ?? 'transaction'}
default_pool_size = ${options.poolSize ?? 5}
max_client_conn = 500
`;
}

/** With passwords as they are: it needs them to log in to the server. */
function usersFile({ upstream, users = {} }: PgBouncerOptions): string {
  const { username, password } = new URL(upstream);
  const all = { [decodeURIComponent(username)]: decodeURIComponent(password), ...users };
  const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`;
  return Object.entries(all)
    .map(([name, secret]) => `${quote(name)} ${quote(secret)}\n`)
    .join('');
}

function write(path: string, text: string, account: Account): void {
  writeFileSync(path, text, { mode: 0o600 });
  give(path, account);
}

function give(path: string, { uid, gid }: Account): void {
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false; // not yet
  } finally {
    socket.destroy();
  }
}

function log(folder: string): string {
  try {
    return readFileSync(join(folder, 'log'), 'utf8').slice(-LOG_TAIL);
  } catch {
    return ''; // somebody stopped it meanwhile
  }
}

function failed(reason: string): TestServerError {
  return new TestServerError('ERR_TESTKIT_SERVER_START_FAILED', reason);
}
