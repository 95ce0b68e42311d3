/** Says that there may be something to read. Rings are counted, so that one is not missed between two looks. */
export class Bell {
  #rings = 0;
  readonly #waiting = new Set<() => void>();

  /** How often it has rung. */
  get rings(): number {
    return this.#rings;
  }

  ring(): void {
    this.#rings++;
    for (const wake of this.#waiting) wake();
  }

  /** Resolves when it has rung more often than `rings`, after `ms`, or when the signal aborts. */
  async after(rings: number, ms: number, signal: AbortSignal, ref: boolean): Promise<void> {
    if (this.#rings > rings || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      if (!ref) timer.unref();
      this.#waiting.add(done);
      signal.addEventListener('abort', done);
    });
  }
}
