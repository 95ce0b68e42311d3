import type { BackfillCounts, BackfillFailure, BackfillResult, Batch } from './backfill.ts';

/** What a run has done so far: only batches that are stored. */
export class Report {
  #scanned = 0;
  #converted = 0;
  #changed = 0;
  #skipped = 0;
  #failed = 0;
  #position: string | undefined;
  #done = false;
  readonly #failures: BackfillFailure[] = [];
  readonly #maxFailures: number;

  constructor(maxFailures: number, start: string | undefined) {
    this.#maxFailures = maxFailures;
    this.#position = start;
  }

  get counts(): BackfillCounts {
    return {
      scanned: this.#scanned,
      converted: this.#converted,
      changed: this.#changed,
      skipped: this.#skipped,
      failed: this.#failed,
    };
  }

  /**
   * @param stored for each change, whether the row was as it had been read
   * @param position where the batch ended, `undefined` after the last row
   */
  add(batch: Batch, stored: readonly boolean[], position: string | undefined): void {
    const converted = stored.filter((done) => done).length;
    this.#scanned += batch.rows;
    this.#skipped += batch.skipped;
    this.#converted += converted;
    this.#changed += batch.changes.length - converted;
    this.#failed += batch.failures.length;
    this.#failures.push(...batch.failures.slice(0, Math.max(0, this.#maxFailures - this.#failures.length)));
    this.#position = position;
    this.#done = position === undefined;
  }

  result(shown: (position: string | undefined) => string | undefined): BackfillResult {
    return Object.freeze({
      ...this.counts,
      failures: Object.freeze([...this.#failures]),
      cursor: shown(this.#position),
      done: this.#done,
    });
  }
}
