import { setTimeout as sleep } from 'node:timers/promises';

/** Holds a run back to so many rows a second, on average since its start. Waits for less than the signal lets it. */
export class Pace {
  readonly #startedAt = performance.now();
  readonly #rowsPerSecond: number | undefined;

  constructor(rowsPerSecond: number | undefined) {
    this.#rowsPerSecond = rowsPerSecond;
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  /** Waits until `rows` are not too many for the time since the start, or the signal ends the wait. */
  async until(rows: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#rowsPerSecond === undefined) return;
    const waitMs = (rows / this.#rowsPerSecond) * 1000 - this.elapsedMs;
    if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => {});
  }
}
