import { setTimeout as sleep } from 'node:timers/promises';
import { isKeywrightError, rawCause } from '@keywright/envelope';

const ATTEMPTS = 6;
const FIRST_PAUSE_MS = 5;
const MAX_PAUSE_MS = 100;

// SQLSTATEs with which a database says that it undid a transaction for the sake of another one: serialization failure,
// deadlock. A lost connection is not among them: what was being committed may have been kept.
const UNDONE = /^40(?:001|P01)$/;

/** What was tried often enough by a call of {@link retried} inside another. */
const exhausted = new WeakSet<object>();

/**
 * Runs `work`, and up to five times more where the database undid it for the sake of another transaction; the last
 * error is thrown as it is. For a transaction or a single statement of the store's own, which must be safe to run again
 * as a whole. Never for one in a caller's transaction: there, the caller has to start over.
 */
export async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const undone = undoneBy(error);
      if (undone === undefined || exhausted.has(undone)) throw error;
      if (attempt === ATTEMPTS) {
        exhausted.add(undone);
        throw error;
      }
      // Those that met once would meet again after pauses of one length.
      await sleep(Math.random() * Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt));
    }
  }
}

/** The driver's error, where it says that the transaction was undone. */
function undoneBy(error: unknown): object | undefined {
  const thrown = isKeywrightError(error) ? rawCause(error) : error;
  try {
    return UNDONE.test(String((thrown as { readonly code?: unknown }).code)) ? (thrown as object) : undefined;
  } catch {
    return undefined; // nothing, or a getter that throws
  }
}
