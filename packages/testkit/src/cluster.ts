import { randomBytes } from 'node:crypto';
import { appendFileSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Account, type PostgresVersion, programsOf, reachable, serverAccount } from './binaries.ts';
import { reasonOf, TestServerError } from './errors.ts';
import { atExit } from './exit-guard.ts';
import { ProgramError, run } from './program.ts';

const LOG_TAIL = 4096;

// The data is thrown away, so nothing is flushed. synchronous_commit keeps its default: it changes what commits mean.
// Errors of statements stay out of the log, which therefore stays small however many tests provoke one.
const SETTINGS = {
  fsync: 'off',
  listen_addresses: '127.0.0.1',
  log_checkpoints: 'off',
  log_min_messages: 'log',
  max_connections: '200',
  unix_socket_directories: '',
};

/** A PostgreSQL server in a fresh folder of the system's temporary folder. */
export interface Cluster {
  /** Of superuser `postgres`. */
  readonly password: string;
  /** Ends every connection, stops the server and removes its folder. */
  stop(): void;
  /** Ends the server at once, as a crash would, and keeps its folder. */
  kill(): Promise<void>;
  /** Starts it again on the same port, with what it had committed. */
  restart(): void;
}

/**
 * Starts a server on `port` of 127.0.0.1. It ends with this process at the latest.
 *
 * Invariant: nothing here yields. A signal is handled before the folder exists or once the server can be stopped, never
 * in between, where the server would outlive this process.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_START_FAILED`
 */
export function startCluster(port: number, version: PostgresVersion = 18): Cluster {
  const account = serverAccount();
  let native = programsOf(version);
  const folder = mkdtempSync(join(tmpdir(), 'keywright-postgres-'));
  const control = (...args: string[]): void =>
    run(join(native, 'bin', 'pg_ctl'), [`--pgdata=${folder}/data`, ...args], folder, account);
  const cleanup = (): void => {
    stopServer(control);
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  const forget = atExit(cleanup);
  const stop = (): void => {
    forget();
    cleanup();
  };
  try {
    give(folder, account);
    native = reachable(native, folder, account);
    const password = randomBytes(18).toString('base64url');
    initialise(native, folder, password, account);
    const start = (): void => control('start', `--log=${folder}/log`, `--options=-p ${port}`);
    start();
    return { password, stop, kill: () => kill(folder), restart: start };
  } catch (error) {
    const evidence = [error instanceof ProgramError ? error.output : '', logTail(folder)];
    stop();
    const message = [`PostgreSQL did not start: ${reasonOf(error)}`, ...evidence].join('\n').trim();
    throw new TestServerError('ERR_TESTKIT_SERVER_START_FAILED', message, error);
  }
}

function initialise(native: string, folder: string, password: string, account: Account): void {
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  give(passwordFile, account);
  const access = ['--username=postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
  const flags = [`--pgdata=${folder}/data`, '--encoding=UTF8', '--locale=C', '--no-sync', ...access];
  run(join(native, 'bin', 'initdb'), flags, folder, account);
  rmSync(passwordFile);
  // The last line of a setting counts. Not by --set, which initdb has since 16 only.
  const settings = Object.entries(SETTINGS).map(([name, value]) => `${name} = '${value}'\n`);
  appendFileSync(join(folder, 'data', 'postgresql.conf'), settings.join(''));
}

async function kill(folder: string): Promise<void> {
  const pidFile = join(folder, 'data', 'postmaster.pid');
  process.kill(Number.parseInt(readFileSync(pidFile, 'utf8'), 10), 'SIGQUIT'); // no goodbye; recovery at the next start
  while (existsSync(pidFile)) await sleep(5); // removed last; the process itself may wait for its reaper
}

function stopServer(control: (...args: string[]) => void): void {
  for (const mode of ['fast', 'immediate']) {
    try {
      control('stop', `--mode=${mode}`);
      return;
    } catch {
      // Not running, which is what was wanted; or stuck, and the next mode waits for nobody.
    }
  }
}

function give(path: string, { uid, gid }: Account): void {
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
}

function logTail(folder: string): string {
  try {
    return readFileSync(join(folder, 'log'), 'utf8').slice(-LOG_TAIL);
  } catch {
    return ''; // the server never got as far as writing one
  }
}
