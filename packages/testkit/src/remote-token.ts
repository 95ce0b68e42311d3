import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { reasonOf, TestServerError } from './errors.ts';
import { atExit } from './exit-guard.ts';
import { isInPath, MACHINE, type TestToken } from './tokens.ts';

const START_MS = 10_000;
const CLIENTS = [
  `/usr/lib/${MACHINE}/pkcs11/p11-kit-client.so`,
  '/usr/lib64/pkcs11/p11-kit-client.so',
  '/usr/lib/pkcs11/p11-kit-client.so',
];

/** A token in a process of its own, reached over a socket as one on the network is. */
export interface RemoteToken {
  /** Absolute path of the library that reaches it. */
  readonly library: string;
  /** Starts the process, again after {@link kill}. */
  start(): Promise<void>;
  /** Ends the process as a power cut would. */
  kill(): Promise<void>;
}

/** Library that reaches a token over a socket, where the program that serves one is installed too. */
export function remoteTokenLibrary(): string | undefined {
  return isInPath('p11-kit') ? CLIENTS.find((path) => existsSync(path)) : undefined;
}

/**
 * Serves a token by p11-kit, in a process of its own. The client's library reads the variable `P11_KIT_SERVER_ADDRESS`
 * when it is started.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_START_FAILED`
 */
export async function startRemoteToken({ library: served, folder, label }: TestToken): Promise<RemoteToken> {
  const library = remoteTokenLibrary();
  if (library === undefined) {
    throw new TestServerError('ERR_TESTKIT_SERVER_START_FAILED', 'p11-kit is not installed here');
  }
  const socket = join(dirname(folder), 'p11-kit.socket');
  const uri = `pkcs11:token=${encodeURIComponent(label)}`;
  process.env.P11_KIT_SERVER_ADDRESS = `unix:path=${socket}`;
  let child: ChildProcess | undefined;
  let forget = (): void => {};

  const kill = async (): Promise<void> => {
    if (child?.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      end(child);
      await exited;
    }
    forget();
    rmSync(socket, { force: true });
  };
  const start = async (): Promise<void> => {
    // A group of its own: the server forks for each client.
    const args = ['server', '--foreground', '--name', socket, '--provider', served, uri];
    const started = spawn('p11-kit', args, { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
    child = started;
    forget = atExit(() => end(started));
    try {
      const failed = once(started, 'exit').then(() => Promise.reject(new Error('it ended')));
      await Promise.race([once(started.stdout, 'data', { signal: AbortSignal.timeout(START_MS) }), failed]);
    } catch (error) {
      await kill();
      throw new TestServerError('ERR_TESTKIT_SERVER_START_FAILED', `p11-kit did not start: ${reasonOf(error)}`, error);
    }
  };
  await start();
  return { library, start, kill };
}

function end({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
