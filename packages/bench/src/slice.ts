import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { do_not_optimize, measure } from 'mitata';

/** Runs an operation for a short while and returns its mean time in nanoseconds. */
export type Slice = (run: () => unknown) => Promise<number>;

/** Calls between two readings of the clock. mitata does this to operations below 65 µs only. */
const BATCH = 64;

/**
 * A slice of `sliceMs` milliseconds by mitata. The heap is collected before it, so nobody pays for the garbage of the
 * contender before; garbage made within the slice counts, which is why it returns the mean and drops no sample.
 */
export function mitataSlice(sliceMs: number): Slice {
  const gc = collector();
  return async (run) => {
    const operation = () => {
      const result = run();
      do_not_optimize(result);
      return result;
    };
    const { avg } = await measure(operation, {
      gc,
      min_cpu_time: sliceMs * 1e6,
      min_samples: 1,
      batch_samples: BATCH,
      samples_threshold: Number.POSITIVE_INFINITY,
    });
    return avg;
  };
}

/** The collector, whether or not Node was started with `--expose-gc`: a run must not depend on how it was started. */
function collector(): () => void {
  const exposed: unknown = globalThis.gc;
  if (typeof exposed === 'function') return () => void exposed();
  setFlagsFromString('--expose-gc');
  return runInNewContext('() => gc()') as () => void;
}
