import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ReplicaResult, ReplicaSetup, ReplicaTask } from './replica.ts';

/** Processes that do a task at the same time. */
export interface Replicas {
  /** Hands every process its task at once; results in the order of the tasks. */
  run(tasks: readonly ReplicaTask[]): Promise<readonly ReplicaResult[]>;
  stop(): Promise<void>;
}

export async function startReplicas(count: number, setup: ReplicaSetup): Promise<Replicas> {
  const script = fileURLToPath(new URL('./replica.ts', import.meta.url));
  const processes = Array.from({ length: count }, () => fork(script, [JSON.stringify(setup)]));
  await Promise.all(processes.map((child) => message(child)));
  return {
    run: async (tasks) =>
      await Promise.all(
        tasks.map(async (task, index) => {
          const child = processes[index] as ChildProcess;
          const answer = message(child);
          child.send(task);
          return (await answer) as ReplicaResult;
        }),
      ),
    stop: async () => {
      await Promise.all(
        processes.map(async (child) => {
          const exited = once(child, 'exit');
          child.disconnect();
          await exited;
        }),
      );
    },
  };
}

async function message(child: ChildProcess): Promise<unknown> {
  const [first] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`a replica exited with ${code}`))),
  ]);
  return first;
}
