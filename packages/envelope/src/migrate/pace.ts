import { setTimeout as sleep } from 'node:timers/promises';

/** Time that a run may make up for: one that stood still for an hour does not go on at full speed for another. */
const MAX_ARREARS_MS = 1000;

/** Holds a run back to so many rows a second, on average. Waits for less than the signal lets it. */
export class Pace {
  readonly #startedAt = performance.now();
  readonly #rowsPerSecond: number | undefined;
  /** Rows of before are paid for at this time. */
  #paidAt = this.#startedAt;

  constructor(rowsPerSecond: number | undefined) {
    this.#rowsPerSecond = rowsPerSecond;
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  /** Waits as long as so many more rows take, or the signal ends the wait. */
  async pay(rows: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#rowsPerSecond === undefined) return;
    const now = performance.now();
    this.#paidAt = Math.max(this.#paidAt, now - MAX_ARREARS_MS) + (rows / this.#rowsPerSecond) * 1000;
    const waitMs = this.#paidAt - now;
    if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => {});
  }
}
