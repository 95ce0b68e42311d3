import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { do_not_optimize, measure } from 'mitata';

/** Nanoseconds per call, within one slice. */
export interface SliceTimes {
  /** What a call takes when nothing interrupts it. */
  readonly median: number;
  /** Garbage collections included, and whatever else the machine did meanwhile. */
  readonly mean: number;
}

/** Runs an operation for a short while. */
export type Slice = (run: () => unknown) => Promise<SliceTimes>;

/** Until the engine has optimised again what the collection before the slice made it forget … */
const WARM_UP_MS = 5;
/** … and a heap that large values work on has grown again. */
const WARM_UP_CALLS = 20;
const MIN_SAMPLES = 15;
/** What takes longer than all of that is worth its time less often: calls of a peer that take a quarter of a second. */
const LONG_MS = 60;
const FEWEST_SAMPLES = 3;
/** Calls between two readings of the clock. mitata does this to operations below 65 µs only. */
const BATCH = 16;
/** Just below the largest block that glibc learns from. */
const SETTLING_BYTES = 31 * 1024 * 1024;

/**
 * A slice of `sliceMs` milliseconds by mitata, longer where so few calls fit into it that their median would say
 * little. The heap is collected before it, so nobody pays for the garbage of the contender before.
 */
export function mitataSlice(sliceMs: number): Slice {
  const collect = collector();
  settleAllocator();
  collect();
  return async (run) => {
    const operation = () => {
      const result = run();
      do_not_optimize(result);
      return result;
    };
    collect();
    const call = await warmUp(operation);
    const { p50, avg } = await measure(operation, {
      gc: false,
      min_cpu_time: sliceMs * 1e6,
      min_samples: Math.max(FEWEST_SAMPLES, Math.min(MIN_SAMPLES, Math.round(LONG_MS / call))),
      batch_samples: BATCH,
      // Keeps the slowest calls too: the mean is to tell of them.
      samples_threshold: Number.POSITIVE_INFINITY,
    });
    return { median: p50, mean: avg };
  };
}

/** Milliseconds that a call took. */
async function warmUp(operation: () => unknown): Promise<number> {
  const start = performance.now();
  let calls = 0;
  let elapsed = 0;
  while ((calls < WARM_UP_CALLS && elapsed < LONG_MS) || elapsed < WARM_UP_MS) {
    await operation();
    calls++;
    elapsed = performance.now() - start;
  }
  return elapsed / calls;
}

/**
 * Makes malloc keep what is freed, as it does in every process that has run for a while: glibc raises its thresholds
 * when a large block is freed. Before that it may hand each buffer of 64 KiB back to the system and fault it in again,
 * or not, depending on where in the heap it lies, and the same code takes one time or twice as much.
 */
function settleAllocator(): void {
  Buffer.alloc(SETTLING_BYTES, 1);
}

/** The collector, whether or not Node was started with `--expose-gc`: a run must not depend on how it was started. */
export function collector(): () => void {
  const exposed: unknown = globalThis.gc;
  if (typeof exposed === 'function') return () => void exposed();
  setFlagsFromString('--expose-gc');
  return runInNewContext('() => gc()') as () => void;
}
