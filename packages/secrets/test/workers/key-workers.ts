import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { KeyAnswer, KeyTask, KeyWorkerSetup } from './key-worker.ts';

/** A process that works on keys. */
export interface KeyWorker {
  /** What the task came to. @throws where it was refused */
  run(task: KeyTask): Promise<unknown>;
  /** Begins the task and kills the process after so many batches; how many rows were done by then. */
  killAfter(task: KeyTask, batches: number): Promise<number>;
  stop(): Promise<void>;
}

export async function startKeyWorker(setup: KeyWorkerSetup): Promise<KeyWorker> {
  const script = fileURLToPath(new URL('./key-worker.ts', import.meta.url));
  const child = fork(script, [JSON.stringify(setup)]);
  await answer(child, 'started');
  return {
    run: async (task) => {
      const done = answer(child, 'done');
      child.send(task);
      return ((await done) as Extract<KeyAnswer, { kind: 'done' }>).result;
    },
    killAfter: async (task, batches) => {
      const exited = once(child, 'exit');
      let seen = 0;
      let done = 0;
      child.on('message', (message: KeyAnswer) => {
        if (message.kind === 'done' || message.kind === 'failed') child.kill('SIGKILL');
        if (message.kind !== 'batch') return;
        done = message.progress.done;
        seen += 1;
        if (seen >= batches) child.kill('SIGKILL');
      });
      child.send(task);
      await exited;
      return done;
    },
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}

async function answer(child: ChildProcess, kind: KeyAnswer['kind']): Promise<KeyAnswer> {
  return await new Promise((resolve, reject) => {
    const onMessage = (message: KeyAnswer): void => {
      if (message.kind !== kind && message.kind !== 'failed') return;
      child.off('message', onMessage).off('exit', onExit);
      if (message.kind === 'failed') reject(new Error(message.code));
      else resolve(message);
    };
    const onExit = (code: number | null): void => reject(new Error(`a worker exited with ${code}`));
    child.on('message', onMessage).on('exit', onExit);
  });
}
