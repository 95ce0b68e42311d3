import type { ColumnCodec } from '../columns/column-codec.ts';
import { checkBackfill } from './backfill-options.ts';
import { convert } from './convert.ts';
import { unwrapCursor, wrapCursor } from './cursor.ts';
import { Pace } from './pace.ts';
import { Report } from './report.ts';
import { retrying } from './retry.ts';
import type { RowChange, RowKey, RowPage, RowSource, SourceRow } from './row-source.ts';
import type { Target } from './target.ts';
import { Turns } from './turns.ts';

export interface BackfillOptions<T> {
  /** Reads what is to go and writes what is to stay: `legacy: 'allow'` or `v1: 'allow'`, and `write: 'v2'`. */
  readonly codec: ColumnCodec<T>;
  readonly source: RowSource;
  /** What is to leave the column. */
  readonly from: Target;
  /**
   * Rows per batch, at most 10,000. Up to three batches are held in memory at once; take fewer for large values.
   * @default 1000
   */
  readonly batchRows?: number | undefined;
  /** Rows to scan per second, on average. @default as many as the database takes */
  readonly rowsPerSecond?: number | undefined;
  /** Where an earlier run stopped. Starting over instead is safe and only costs the scan. @default the first row */
  readonly cursor?: string | undefined;
  /** Ends the run after the batch that is being written, with `done: false`. */
  readonly signal?: AbortSignal | undefined;
  /** Keys that are reported of rows that failed; more are only counted. @default 100 */
  readonly maxFailures?: number | undefined;
  /** Hears of every batch that is stored, and may return a promise to be waited for. What it throws ends the run. */
  readonly onProgress?: ((progress: BackfillProgress) => unknown) | undefined;
}

export interface BackfillCounts {
  /** Rows that were looked at. */
  readonly scanned: number;
  /** Rows that hold what was made for them. */
  readonly converted: number;
  /** Rows that a writer changed or deleted in between, and that were left as the writer had them. Run it again. */
  readonly changed: number;
  /** Rows that were not of the kind that is to go. */
  readonly skipped: number;
  /** Rows that could not be read, and that were left as they were. */
  readonly failed: number;
}

export interface BackfillProgress extends BackfillCounts {
  /** Everything before it is done: keep it to go on from here. */
  readonly cursor: string | undefined;
  /** About how many rows there are, where the source knows. */
  readonly estimatedRows: number | undefined;
  readonly elapsedMs: number;
  readonly rowsPerSecond: number;
}

/** A row that was left as it was. */
export interface BackfillFailure {
  readonly key: RowKey;
  /** Code of the error that reading the value met. */
  readonly code: string;
}

export interface BackfillResult extends BackfillCounts {
  /** The first of the rows that failed. */
  readonly failures: readonly BackfillFailure[];
  /** Where to go on from; `undefined` where that is the start: the last row was seen, or none. */
  readonly cursor: string | undefined;
  /** Whether every row was looked at. A run from a cursor has not seen the rows before it. */
  readonly done: boolean;
}

/**
 * Encrypts what is in the clear, makes version 2 of version 1, or takes a column off a key, beside live traffic. Rows are
 * read in batches in the order of their key. What is made of a value is decrypted and compared before it is stored, and
 * stored only where the row still holds what was read. So it can be killed at any moment and run again, by several
 * processes at once too: a second run finds nothing to do.
 *
 * A value that cannot be read does not end the run. A database that fails for a moment is tried again for some seconds.
 *
 * @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT`, `ERR_COLUMN_PLAINTEXT_REFUSED`, `ERR_COLUMN_V1_REFUSED` (the codec
 * does not read what is to go), `ERR_COLUMN_TENANT_MISSING`, `ERR_COLUMN_ROW_KEY_MISSING`; ColumnMigrationError
 * `ERR_COLUMN_KEY_ACTIVE`, `ERR_COLUMN_SOURCE_FAILED` and what else the source throws
 *
 * @example
 * ```ts
 * import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
 * import { columnCodec } from '@keywright/envelope/columns';
 * import { backfill, memoryRowSource } from '@keywright/envelope/migrate';
 *
 * const keyring = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
 * const codec = columnCodec({ keyring, table: 'connections', column: 'credentials', legacy: 'allow' });
 * const source = memoryRowSource([{ key: { id: 1 }, stored: '{"apiKey":"sk_test_1"}' }]);
 * const { converted } = await backfill({ codec, source, from: { plaintext: true } }); // 1
 * ```
 */
export async function backfill<T>(options: BackfillOptions<T>): Promise<BackfillResult> {
  const { codec, source, from, batchRows, rowsPerSecond, cursor, signal, maxFailures, onProgress } =
    checkBackfill(options);
  const start = cursor === undefined ? undefined : unwrapCursor(codec, from, cursor);
  const report = new Report(maxFailures, start);
  const pace = new Pace(rowsPerSecond);
  const estimatedRows = onProgress === undefined ? undefined : await source.count?.();
  const shown = (position: string | undefined) =>
    position === undefined ? undefined : wrapCursor(codec, from, position);

  const scan = (after: string | undefined): Promise<RowPage> =>
    handled(retrying(() => source.scan({ after, limit: batchRows }), signal));
  const store = async (batch: Batch, position: string | undefined): Promise<void> => {
    const { changes } = batch;
    const stored = changes.length === 0 ? [] : await retrying(() => source.compareAndSet(changes), signal);
    report.add(batch, stored, position);
    const elapsedMs = pace.elapsedMs;
    const rate = elapsedMs === 0 ? 0 : Math.round((report.counts.scanned / elapsedMs) * 1000);
    await onProgress?.({
      ...report.counts,
      cursor: shown(position),
      estimatedRows,
      elapsedMs: Math.round(elapsedMs),
      rowsPerSecond: rate,
    });
  };

  // Three batches at once: the database reads one and writes another while the one between is converted here.
  let page: Promise<RowPage> | undefined = scan(start);
  let storing: Promise<void> = Promise.resolve();
  try {
    while (page !== undefined) {
      if (signal?.aborted) break;
      const { rows, cursor: position }: RowPage = await page;
      page = position === undefined ? undefined : scan(position);
      const batch = await convertRows(codec, from, rows);
      await storing;
      storing = handled(store(batch, position));
      await pace.pay(rows.length, signal);
    }
  } finally {
    // What is under way ends before the caller hears of anything; an error of the loop goes first.
    await Promise.allSettled([storing, page]);
  }
  await storing;
  return report.result(shown);
}

/** What became of the rows of a page, before any is stored. */
export interface Batch {
  readonly rows: number;
  readonly skipped: number;
  readonly changes: readonly RowChange[];
  readonly failures: readonly BackfillFailure[];
}

async function convertRows<T>(codec: ColumnCodec<T>, target: Target, rows: readonly SourceRow[]): Promise<Batch> {
  const changes: RowChange[] = [];
  const failures: BackfillFailure[] = [];
  const turns = new Turns();
  for (const row of rows) {
    const made = convert(codec, target, row);
    if (made.state === 'change') changes.push({ row, next: made.next });
    else if (made.state === 'failed') failures.push({ key: row.key, code: made.code });
    if (turns.due) await turns.next();
  }
  return { rows: rows.length, skipped: rows.length - changes.length - failures.length, changes, failures };
}

/** A promise that is awaited later: should it fail before, that is no unhandled rejection. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
