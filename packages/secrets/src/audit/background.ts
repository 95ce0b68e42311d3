import { isKeywrightError, type Logger } from '@keywright/envelope';

/** What is done again and again. */
export interface BackgroundWork {
  /** How long to wait after each run, in milliseconds. */
  readonly everyMs: number;
  /** Tries again after a failure, first after this time, then twice that and so on, at most `maxPauseMs`. */
  readonly firstPauseMs?: number | undefined;
  readonly maxPauseMs?: number | undefined;
  readonly name: string;
  readonly logger: Logger | undefined;
  run(signal: AbortSignal): Promise<void>;
}

/** Repeats work until it is stopped; two runs never overlap, and the process may end between them. */
export class Background {
  readonly #work: BackgroundWork;
  readonly #ended = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #failures = 0;

  constructor(work: BackgroundWork) {
    this.#work = work;
    this.#wait(0);
  }

  /** Runs soon instead of later, unless it waits because it failed. */
  nudge(): void {
    if (this.#running === undefined && this.#failures === 0) this.#wait(0);
  }

  /** Ends what is under way; resolves when it has ended. */
  async stop(): Promise<void> {
    this.#ended.abort();
    clearTimeout(this.#timer);
    await this.#running;
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#ended.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.#running = this.#run().finally(() => (this.#running = undefined));
    }, ms);
    this.#timer.unref();
  }

  async #run(): Promise<void> {
    const { name, logger, everyMs, firstPauseMs = everyMs, maxPauseMs = everyMs } = this.#work;
    try {
      await this.#work.run(this.#ended.signal);
      this.#failures = 0;
    } catch (error) {
      if (this.#ended.signal.aborted) return;
      logger?.error(`${name} failed and is tried again: ${isKeywrightError(error) ? error.code : 'unknown error'}`);
      this.#failures++;
    }
    this.#wait(this.#failures === 0 ? everyMs : Math.min(maxPauseMs, firstPauseMs * 2 ** (this.#failures - 1)));
  }
}
