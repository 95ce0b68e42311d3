import { lossOf } from './failures.ts';

/** A call that has a session, as its work sees it. */
export interface Turn {
  /** Set while and after the token is changed: then the work is not repeated. */
  begun: boolean;
  /** Whether this is the second time: what was remembered of the token may be wrong. */
  readonly repeated: boolean;
  /** Whether nobody waits for the outcome any more. */
  readonly settled: boolean;
}

/** Changes the token. A session that could not take the call has changed nothing, so the work may be repeated. */
export async function once<T>(turn: Turn, change: () => Promise<T>): Promise<T> {
  turn.begun = true;
  try {
    return await change();
  } catch (error) {
    const loss = lossOf(error);
    if (loss === 'operation' || loss === 'sessions') turn.begun = false;
    throw error;
  }
}
