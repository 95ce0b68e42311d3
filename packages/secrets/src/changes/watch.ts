import type { WatchEvent } from './change.ts';
import { cursorOf } from './cursor.ts';
import { type Followed, type FollowOptions, follow } from './follow.ts';
import type { ChangeSource } from './source.ts';

/** Options of `store.watch()`. */
export interface WatchOptions {
  /** One tenant's changes only. @default every tenant's */
  readonly tenantId?: string | undefined;
  /** Changes of secrets that have, or had before a rename, one of these names; at most 1,000. @default all */
  readonly names?: readonly string[] | undefined;
  /** How long nothing is asked after a poll that found no more, in milliseconds, 10 to 3,600,000. @default 1_000 */
  readonly pollMs?: number | undefined;
  /** Ends the watch. */
  readonly signal?: AbortSignal | undefined;
  /** `'now'`, `'oldest'` for everything that is still kept, or the `cursor` of an earlier watch. @default 'now' */
  readonly from?: string | undefined;
}

/**
 * Committed changes. Iterate it once, with `for await`. Nothing is polled while the consumer works, and at most 500
 * changes wait for it. Two changes of one secret that were committed between two polls may come in either order: take a
 * change as a reason to read the secret, not as its state.
 */
export interface ChangeWatch extends AsyncIterable<WatchEvent> {
  /**
   * Where a watch with `from` goes on after the last event that was handed out; `undefined` before the start. Keep it
   * when that event has been dealt with: after a crash, those since the last kept cursor are handed out again.
   */
  readonly cursor: string | undefined;
  /**
   * Starts now instead of at the first iteration: what is committed after it resolves is heard. The wait ends early
   * where the signal aborts.
   */
  start(): Promise<void>;
}

interface Pending<Position> {
  readonly event: WatchEvent;
  /** Where a watch goes on after it, if that is elsewhere than before it. */
  readonly after?: Position | undefined;
}

export class Watch<Position> implements ChangeWatch {
  readonly #source: ChangeSource<Position>;
  readonly #steps: AsyncGenerator<Followed<Position>, void>;
  readonly #events: AsyncGenerator<WatchEvent, void>;
  #pending: Pending<Position>[] = [];
  #polling: Promise<boolean> | undefined;
  #started = false;
  #position: Position | undefined;

  constructor(source: ChangeSource<Position>, options: FollowOptions<Position>) {
    this.#source = source;
    this.#position = typeof options.from === 'string' ? undefined : options.from;
    this.#steps = follow(options);
    this.#events = this.#handOut();
  }

  get cursor(): string | undefined {
    return this.#position === undefined ? undefined : cursorOf(this.#source, this.#position);
  }

  async start(): Promise<void> {
    while (!this.#started && (await this.#poll()));
  }

  [Symbol.asyncIterator](): AsyncIterator<WatchEvent, void> {
    return this.#events;
  }

  async *#handOut(): AsyncGenerator<WatchEvent, void> {
    try {
      for (;;) {
        const next = this.#pending.shift();
        if (next !== undefined) {
          this.#position = next.after ?? this.#position;
          yield next.event;
        } else if (!(await this.#poll())) return;
      }
    } finally {
      this.#pending = [];
      await this.#steps.return(undefined);
    }
  }

  /** One poll; false when the watch has ended. Whoever comes meanwhile shares it. */
  async #poll(): Promise<boolean> {
    this.#polling ??= this.#step().finally(() => {
      this.#polling = undefined;
    });
    return await this.#polling;
  }

  async #step(): Promise<boolean> {
    const { value: step } = await this.#steps.next();
    if (step === undefined) return false;
    if ('gap' in step) {
      this.#pending.push({ event: Object.freeze({ type: 'gap', error: step.gap }) });
      return true;
    }
    this.#started = true;
    const { changes, next, lost } = step.page;
    if (step.resumed) this.#pending.push({ event: RESUMED });
    if (lost) this.#pending.push({ event: RESET, after: next });
    for (const { change, after } of changes) this.#pending.push({ event: change, after });
    if (this.#pending.length === 0) this.#position = next;
    return true;
  }
}

const RESUMED: WatchEvent = Object.freeze({ type: 'resumed' });
const RESET: WatchEvent = Object.freeze({ type: 'reset' });
