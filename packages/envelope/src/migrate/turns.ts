import { setImmediate as nextTurn } from 'node:timers/promises';

/** Milliseconds that other work of the process waits at most, about. */
const TURN_MS = 5;
/** Steps between two readings of the clock. */
const STEPS = 16;

/** Gives other work of the process its turn during a long loop. */
export class Turns {
  #since = performance.now();
  #steps = 0;

  get due(): boolean {
    return ++this.#steps % STEPS === 0 && performance.now() - this.#since >= TURN_MS;
  }

  async next(): Promise<void> {
    await nextTurn();
    this.#since = performance.now();
  }
}
