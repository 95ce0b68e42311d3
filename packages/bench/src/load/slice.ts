import { collector } from '../slice.ts';
import type { LoadContender } from './suite.ts';

/** What a slice of time, or one call, came to. */
export interface LoadFigures {
  readonly perSecond: number;
  /** Milliseconds that a call took. */
  readonly p50: number;
  readonly p99: number;
}

export interface LoadSliceOptions {
  readonly callers: number;
  readonly sliceMs: number;
  readonly once: boolean;
}

export type LoadSlice = (contender: LoadContender, options: LoadSliceOptions) => Promise<LoadFigures>;

/** What the callers do before the clock starts, as a part of the slice. */
const WARM_UP_SHARE = 0.15;

const collect = collector();

/**
 * Lets so many callers call, each again when its call is answered, and counts the calls that end while the clock runs.
 * The heap is collected before, and the callers are under way when the clock starts.
 *
 * @throws what a call throws, once every caller has stopped
 */
export const loadSlice: LoadSlice = async (contender, { callers, sliceMs, once }) => {
  const { call, operations = 1, before, after } = contender;
  await before?.();
  collect();
  try {
    return once ? await oneCall(call, operations) : await calls(call, operations, callers, sliceMs);
  } finally {
    await after?.();
  }
};

async function oneCall(call: LoadContender['call'], operations: number): Promise<LoadFigures> {
  const start = performance.now();
  await call(0);
  const elapsed = performance.now() - start;
  return { perSecond: (operations * 1000) / elapsed, p50: elapsed, p99: elapsed };
}

async function calls(
  call: LoadContender['call'],
  operations: number,
  callers: number,
  sliceMs: number,
): Promise<LoadFigures> {
  const times: number[] = [];
  const from = performance.now() + sliceMs * WARM_UP_SHARE;
  const until = from + sliceMs;
  let last = from;
  const failures: unknown[] = [];
  const caller = async (index: number): Promise<void> => {
    try {
      for (let start = performance.now(); start < until && failures.length === 0; ) {
        await call(index);
        const end = performance.now();
        // The first one counts however long it took: a call that is longer than a slice has a figure too.
        if (end >= from && (end <= until || times.length === 0)) {
          times.push(end - start);
          last = end;
        }
        start = end;
      }
    } catch (error) {
      failures.push(error);
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, index) => caller(index)));
  if (failures.length > 0) throw failures[0];
  if (times.length === 0) throw new Error('No call ended while the clock ran.');
  const sorted = Float64Array.from(times).toSorted();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { perSecond: (times.length * operations * 1000) / (last - from), p50: at(0.5), p99: at(0.99) };
}
