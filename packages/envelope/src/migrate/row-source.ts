import type { ColumnConstraint, ColumnRule } from './rule.ts';

/** Primary key of a row, by column. */
export type RowKey = Readonly<Record<string, string | number | bigint>>;

/** One row of the column, as a scan found it. A source may put more into it for its own comparison. */
export interface SourceRow {
  readonly key: RowKey;
  /** The row's tenant, where its values are bound to that. */
  readonly tenant?: string | undefined;
  /** What the column codec reads. */
  readonly stored: unknown;
  /**
   * The JSON text that `stored` was parsed from, where the store keeps JSON. A plaintext that JavaScript cannot hold, such
   * as an integer of 20 digits, is then reported instead of converted.
   */
  readonly text?: string | undefined;
}

export interface ScanOptions {
  /** Where the page before ended. @default the first row */
  readonly after?: string | undefined;
  /** The most rows of a page, 1 or more. */
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
}

export interface RowPage<Row extends SourceRow = SourceRow> {
  /** In the order of their primary keys. */
  readonly rows: readonly Row[];
  /** Where this page ends: plain text that may be kept. `undefined` after the last row. */
  readonly cursor: string | undefined;
}

export interface RowChange<Row extends SourceRow = SourceRow> {
  /** The row as the scan returned it. */
  readonly row: Row;
  /** What the column codec made: text, an object that is stored as JSON, or bytes. */
  readonly next: unknown;
}

/**
 * One column of one table, or one field of one collection, as the census and the backfill need it. Make one for a store
 * that is not here, and prove it with `rowSourceConformance`.
 */
export interface RowSource<Row extends SourceRow = SourceRow> {
  /** The next rows in the order of a unique key that never changes. A row that stays is in exactly one page. */
  scan(options: ScanOptions): Promise<RowPage<Row>>;
  /**
   * Stores each `next` where the row still holds exactly what the scan returned, atomically for each row, and tells for
   * each whether it did. A row that a writer has changed or deleted meanwhile is left alone.
   */
  compareAndSet(
    changes: readonly RowChange<Row>[],
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<readonly boolean[]>;
  /** About how many rows there are, for progress. May be far off, and `undefined` where nobody knows. */
  count?(): Promise<number | undefined>;
  /** Runs `work` on one snapshot: what writers commit meanwhile is not seen. */
  snapshot?<T>(work: (source: RowSource<Row>) => Promise<T>): Promise<T>;
  /**
   * Statements with which the database itself keeps a rule; `undefined` where rows are left out. Throws where this source
   * may not see all rows that it is of, so that a count of it would prove nothing.
   */
  constraint?(rule: ColumnRule): Promise<ColumnConstraint | undefined>;
}
