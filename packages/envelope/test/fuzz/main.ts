// Fuzzes for KEYWRIGHT_FUZZ_SECONDS (default 60) from KEYWRIGHT_FUZZ_SEED (default: from the clock): `pnpm run fuzz`. In a
// worker, so that an input that never ends is noticed as well.
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { Coverage } from './coverage.ts';
import { fuzz } from './fuzz.ts';

const HANGS_AFTER_MS = 20_000;

interface Task {
  readonly seed: number;
  readonly seconds: number;
  readonly progress: Int32Array;
}

if (isMainThread) supervise();
else work(workerData as Task);

function supervise(): void {
  const seconds = Number(process.env.KEYWRIGHT_FUZZ_SECONDS ?? 60);
  const seed = Number(process.env.KEYWRIGHT_FUZZ_SEED ?? Date.now() % 2 ** 31);
  if (!(seconds > 0 && Number.isSafeInteger(seed))) {
    throw new TypeError('KEYWRIGHT_FUZZ_SECONDS must be a positive number, KEYWRIGHT_FUZZ_SEED an integer.');
  }
  console.log(`fuzzing for ${seconds} s with KEYWRIGHT_FUZZ_SEED=${seed}`);
  const progress = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL(import.meta.url), { workerData: { seed, seconds, progress } satisfies Task });
  let last = -1;
  const watch = setInterval(() => {
    if (progress[0] === last) {
      console.error(`input ${last} of seed ${seed} has not ended after ${HANGS_AFTER_MS / 1000} s`);
      process.exit(1);
    }
    last = progress[0] as number;
  }, HANGS_AFTER_MS);
  worker.on('error', (error) => {
    console.error(error);
    process.exitCode = 1;
  });
  worker.on('exit', () => clearInterval(watch));
}

function work({ seed, seconds, progress }: Task): void {
  const coverage = new Coverage();
  const { inputs, corpus, outcomes } = fuzz({
    seed,
    seconds,
    coverage,
    onInput: (count) => Atomics.store(progress, 0, count),
  });
  coverage.stop();
  for (const [outcome, count] of Object.entries(outcomes).sort())
    console.log(`${String(count).padStart(8)}  ${outcome}`);
  console.log(`${inputs} inputs, ${corpus} of them kept, every one opened or refused as it has to be`);
}
