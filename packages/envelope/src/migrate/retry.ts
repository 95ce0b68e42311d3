import { setTimeout as sleep } from 'node:timers/promises';
import { isKeywrightError } from '../keywright-error.ts';

const ATTEMPTS = 6;
const FIRST_WAIT_MS = 100;

/**
 * Runs `work`, and again after 0.1, 0.2 … 1.6 seconds while it fails with a retryable error: a failover or a deadlock
 * should not end a run of hours. Precondition: `work` may be repeated.
 */
export async function retrying<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isKeywrightError(error) || !error.retryable || attempt === ATTEMPTS || signal?.aborted) throw error;
      await sleep(FIRST_WAIT_MS * 2 ** (attempt - 1), undefined, { signal }).catch(() => {});
    }
  }
}
