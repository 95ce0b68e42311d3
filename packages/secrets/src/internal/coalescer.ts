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
  /** Items of different groups do not share a batch. */
  groupOf(item: Item): string;
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
  /** By group; the group that comes first goes first. */
  readonly #waiting = new Map<string, Waiting<Item, Result>[]>();
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
        this.#forget(waiting);
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
    const group = this.#options.groupOf(waiting.item);
    const queue = this.#waiting.get(group);
    if (queue === undefined) this.#waiting.set(group, [waiting]);
    else queue.push(waiting);
    this.#schedule();
  }

  #forget(waiting: Waiting<Item, Result>): void {
    const group = this.#options.groupOf(waiting.item);
    const left = this.#waiting.get(group)?.filter((other) => other !== waiting) ?? [];
    if (left.length > 0) this.#waiting.set(group, left);
    else this.#waiting.delete(group);
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

  /** What fits of the first group; the rest of it goes behind the others. */
  #take(): readonly Waiting<Item, Result>[] {
    for (const [group, queue] of this.#waiting) {
      this.#waiting.delete(group);
      if (queue.length <= BATCH) return queue;
      const taken = queue.splice(0, BATCH);
      this.#waiting.set(group, queue);
      return taken;
    }
    return [];
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
