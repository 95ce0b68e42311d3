import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { reasonOf, TestServerError } from './errors.ts';
import { atExit } from './exit-guard.ts';
import { freePort, type TestServer } from './postgres.ts';
import { ProgramError, run } from './program.ts';

const VARIABLE = 'KEYWRIGHT_TEST_MOTO_URL';
const PACKAGE = 'moto[server]==5.2.5';
const START_MS = 30_000;
const INSTALL_MS = 180_000;

/** Where the Python environment with moto is, or is to be. Another version is another folder. */
function environmentFolder(): string {
  const root = fileURLToPath(new URL('../../..', import.meta.url));
  return join(root, 'node_modules', '.cache', 'keywright', PACKAGE.replace(/[^\w.]+/g, '-'));
}

/** Whether `startMoto` would have something to start without installing it. */
export function motoIsAtHand(): boolean {
  return Boolean(process.env[VARIABLE]) || existsSync(marker());
}

/**
 * A moto server, which speaks the API of AWS: the one that `KEYWRIGHT_TEST_MOTO_URL` names, else one of a Python
 * environment below `node_modules/.cache` on a free port of 127.0.0.1. The environment is made first where it is
 * missing: Python 3 with pip and venv, and PyPI, are needed once.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_UNREACHABLE`, `ERR_TESTKIT_SERVER_START_FAILED`
 */
export async function startMoto(): Promise<TestServer> {
  const given = process.env[VARIABLE];
  if (given !== undefined && given !== '') {
    if (await answers(given)) return { url: given, stop: async () => {} };
    throw new TestServerError('ERR_TESTKIT_SERVER_UNREACHABLE', `no moto server answers at ${VARIABLE}`);
  }
  await install();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(program(), ['-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' });
  const forget = atExit(() => child.kill('SIGKILL'));
  const stop = async (): Promise<void> => {
    forget();
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL'); // its data is in memory
    await new Promise((resolve) => child.once('exit', resolve));
  };
  try {
    await started(child, url);
    return { url, stop };
  } catch (error) {
    await stop();
    throw new TestServerError('ERR_TESTKIT_SERVER_START_FAILED', `moto did not start: ${reasonOf(error)}`, error);
  }
}

async function started(child: ChildProcess, url: string): Promise<void> {
  const ended = new Promise<never>((_resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`it ended with ${code ?? signal}`)));
  });
  const deadline = Date.now() + START_MS;
  const ready = async (): Promise<void> => {
    while (!(await answers(url))) {
      if (Date.now() > deadline) throw new Error(`no answer in ${START_MS} ms`);
      await sleep(100);
    }
  };
  await Promise.race([ended, ready()]);
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/moto-api/data.json`, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    return false; // not yet, or never: the caller decides
  }
}

function program(): string {
  return join(environmentFolder(), 'bin', 'moto_server');
}

/** Is there once the environment is whole. It cannot be made elsewhere and moved: its scripts name their interpreter. */
function marker(): string {
  return join(environmentFolder(), 'complete');
}

/** Makes the environment, once: a folder is the lock. */
async function install(): Promise<void> {
  const folder = environmentFolder();
  const lock = `${folder}.lock`;
  mkdirSync(dirname(folder), { recursive: true });
  const deadline = Date.now() + INSTALL_MS;
  while (!existsSync(marker())) {
    if (taken(lock)) {
      if (Date.now() > deadline) throw failed(`another process holds ${lock}`);
      await sleep(500);
      continue;
    }
    try {
      build(folder);
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

function build(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  try {
    const cwd = dirname(folder);
    run('python3', ['-m', 'venv', folder], cwd, {});
    run(
      join(folder, 'bin', 'pip'),
      ['install', '--quiet', '--disable-pip-version-check', PACKAGE],
      cwd,
      {},
      INSTALL_MS,
    );
    writeFileSync(marker(), PACKAGE);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw failed(error instanceof ProgramError ? `${reasonOf(error)}\n${error.output}` : reasonOf(error), error);
  }
}

function failed(reason: string, cause?: unknown): TestServerError {
  return new TestServerError('ERR_TESTKIT_SERVER_START_FAILED', `moto could not be installed: ${reason}`, cause);
}
