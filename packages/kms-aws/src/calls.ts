import { setTimeout as sleep } from 'node:timers/promises';
import { type DriverCall, KmsError } from '@keywright/kms';
import type { SendOptions } from './client.ts';
import { awsError, isCorrectedClock } from './errors.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 800;
const NOT_YET: ReadonlySet<string> = new Set(['ERR_KMS_KEY_NOT_FOUND', 'ERR_KMS_KEY_NOT_USABLE']);

/**
 * One request, with typed errors. It is sent twice where the first was refused because of this machine's clock: the SDK
 * has learnt the right time from the refusal, and nothing was done.
 *
 * @throws KmsError
 */
export async function request<T>(call: DriverCall, send: (options: SendOptions) => Promise<T>): Promise<T> {
  const options = { abortSignal: call.signal };
  try {
    return await send(options);
  } catch (error) {
    if (!isCorrectedClock(error)) throw awsError(error);
  }
  try {
    return await send(options);
  } catch (error) {
    throw awsError(error);
  }
}

/**
 * Works with a key that was just made, in the time of the call: AWS KMS is consistent after a while, and until then may
 * not find the key, or find it in the state before. Passing failures are waited out too, for making the key is not
 * repeated; so this is for work that may be done twice.
 */
export async function withNewKey<T>(call: DriverCall, work: () => Promise<T>): Promise<T> {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    try {
      return await work();
    } catch (error) {
      const passes = error instanceof KmsError && (NOT_YET.has(error.code) || error.retryable);
      if (!passes || performance.now() + pause >= call.deadline) throw error;
    }
    await sleep(pause, undefined, { signal: call.signal });
  }
}

/** Works on all items, at most `limit` at a time, until one fails; results in the order of the items. */
export async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      try {
        results[index] = await work(items[index] as T);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}
