import { throwIfAborted } from '../keys/root-calls.ts';

/** At most so many in one batch. */
export const BATCH = 64;

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly settle: (result: Result) => void;
  readonly fail: (error: unknown) => void;
}

export interface CoalescerOptions<Item, Result> {
  /** Batches under way at once. */
  readonly inFlight: number;
  /**
   * What waits is divided among the batches that may go out now, but into none smaller than this: while the database works
   * on one half, the other is decrypted. @default not divided
   */
  readonly divideDownTo?: number | undefined;
  /** What a batch is sorted by. @default none: the order in which they were asked for */
  readonly orderOf?: ((item: Item) => string) | undefined;
  /** Does the work of a batch in one round trip; the results are in the order of the items. */
  send(items: readonly Item[]): Promise<readonly Result[]>;
  /** Whether a batch that failed so may be sent again, item by item: nothing of it was done, and one item is to blame. */
  mayRetry(error: unknown): boolean;
}

/**
 * Does together what waits at the same time. Nothing waits for company: what is asked for together goes out together, by
 * the end of the event loop's turn, and while enough batches are under way the next ones gather.
 */
export class Coalescer<Item, Result> {
  readonly #options: CoalescerOptions<Item, Result>;
  /** In the order in which they came. */
  readonly #waiting = new Set<Waiting<Item, Result>>();
  #inFlight = 0;
  #scheduled = false;

  constructor(options: CoalescerOptions<Item, Result>) {
    this.#options = options;
  }

  /**
   * One item's result; what goes wrong with others does not matter to it.
   * @throws SecretsError `ERR_SECRETS_ABORTED`
   */
  async run(item: Item, signal?: AbortSignal): Promise<Result> {
    throwIfAborted(signal);
    return await new Promise<Result>((resolve, reject) => {
      if (signal === undefined) {
        this.#enqueue({ item, settle: resolve, fail: reject });
        return;
      }
      const waiting = { item, settle: resolve, fail: reject };
      const abort = (): void => {
        // What is under way goes on for the others, and nobody takes this one's result.
        this.#waiting.delete(waiting);
        reject(abortedBy(signal));
      };
      const stopped =
        <Value>(settle: (value: Value) => void) =>
        (value: Value): void => {
          signal.removeEventListener('abort', abort);
          settle(value);
        };
      signal.addEventListener('abort', abort, { once: true });
      this.#enqueue(Object.assign(waiting, { settle: stopped(resolve), fail: stopped(reject) }));
    });
  }

  #enqueue(waiting: Waiting<Item, Result>): void {
    this.#waiting.add(waiting);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#inFlight >= this.#options.inFlight || this.#waiting.size === 0) return;
    this.#scheduled = true;
    const drain = (): void => {
      this.#scheduled = false;
      while (this.#inFlight < this.#options.inFlight && this.#waiting.size > 0)
        void this.#flush(this.#ordered(this.#take()));
    };
    // While nothing is under way, whoever is first waits only for what runs now; a connection that has gone to sleep
    // takes longer to wake than to answer. Else there is time for the rest of this turn of the event loop.
    if (this.#inFlight === 0) process.nextTick(drain);
    else setImmediate(drain);
  }

  /** One batch's share of what waits. */
  #take(): readonly Waiting<Item, Result>[] {
    const { inFlight, divideDownTo = BATCH } = this.#options;
    const share = Math.ceil(this.#waiting.size / (inFlight - this.#inFlight));
    const size = Math.min(BATCH, Math.max(divideDownTo, share));
    const taken: Waiting<Item, Result>[] = [];
    for (const waiting of this.#waiting) {
      this.#waiting.delete(waiting);
      if (taken.push(waiting) === size) break;
    }
    return taken;
  }

  #ordered(batch: readonly Waiting<Item, Result>[]): readonly Waiting<Item, Result>[] {
    const { orderOf } = this.#options;
    if (orderOf === undefined || batch.length === 1) return batch;
    const keyed = batch.map((waiting) => ({ key: orderOf(waiting.item), waiting }));
    return keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ waiting }) => waiting);
  }

  /** Never rejects. */
  async #flush(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    this.#inFlight++;
    await this.#send(batch);
    this.#inFlight--;
    this.#schedule();
  }

  /** Never rejects. */
  async #send(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#options.send(batch.map(({ item }) => item));
      for (const [index, { settle }] of batch.entries()) settle(results[index] as Result);
    } catch (error) {
      if (batch.length > 1 && this.#options.mayRetry(error)) {
        for (const each of batch) await this.#send([each]);
        return;
      }
      for (const { fail } of batch) fail(error);
    }
  }
}

function abortedBy(signal: AbortSignal): unknown {
  try {
    throwIfAborted(signal);
  } catch (error) {
    return error;
  }
  return undefined;
}
