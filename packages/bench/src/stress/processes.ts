import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

/** What a worker process says: each message names its kind. */
interface Message {
  readonly kind: string;
}

/** Starts a worker process, its set-up as its argument, and waits until it says that it is ready. */
export async function startWorker(script: URL, setup: object): Promise<ChildProcess> {
  const worker = fork(script, [JSON.stringify(setup)], { execArgv: [] });
  await messageOf(worker, 'ready');
  return worker;
}

/** Ends a process at once, unless it has ended. */
export async function stop(worker: ChildProcess): Promise<void> {
  if (worker.exitCode !== null || worker.signalCode !== null) return;
  const exited = once(worker, 'exit');
  worker.kill('SIGKILL');
  await exited;
}

/** The next message of one of the kinds. Rejects if the process ends before. */
export async function messageOf<M extends Message, Kind extends M['kind']>(
  worker: ChildProcess,
  ...kinds: readonly Kind[]
): Promise<Extract<M, { kind: Kind }>> {
  return await new Promise((resolve, reject) => {
    const settle = (): void => void worker.off('message', onMessage).off('exit', onExit);
    const onMessage = (message: Message): void => {
      if (!kinds.includes(message.kind as Kind)) return;
      settle();
      resolve(message as Extract<M, { kind: Kind }>);
    };
    const onExit = (code: number | null): void => {
      settle();
      reject(new Error(`A process ended with ${code} before it was ${kinds.join(' or ')}.`));
    };
    worker.on('message', onMessage).on('exit', onExit);
  });
}
