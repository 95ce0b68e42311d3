const BATCH_MS = 50;

/** Rings a bell and notifies: at once, then at most every 50 ms for as long as there is something to say. */
export class Announcer {
  readonly #announce: () => void;
  #timer: NodeJS.Timeout | undefined;
  #again = false;

  constructor(announce: () => void) {
    this.#announce = announce;
  }

  /** Something was committed. */
  changed(): void {
    if (this.#timer !== undefined) {
      this.#again = true;
      return;
    }
    this.#announce();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#again) return;
      this.#again = false;
      this.changed();
    }, BATCH_MS).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
