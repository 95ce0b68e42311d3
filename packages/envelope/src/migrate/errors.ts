import { KeywrightError, type KeywrightErrorOptions } from '../keywright-error.ts';
import type { Census } from './census.ts';

const MESSAGES = {
  ERR_COLUMN_NOT_FINAL:
    'The column still holds values that were to be gone. `census` on this error counts them; run the backfill again, and look at the rows that it reports as failed.',
  ERR_COLUMN_KEY_ACTIVE:
    'The key that is to be retired still encrypts. Activate another key in every process first, then run the backfill.',
  ERR_COLUMN_NOT_VERIFIED:
    'What was made of the value did not decrypt to the same value, so the row was left as it was. Report this with the payload and storage of the codec.',
  ERR_COLUMN_VALUE_LOSSY:
    'The JSON of this row holds a number that JavaScript rounds or a name that stands twice, so encrypting it would change it. Correct the row by hand.',
  ERR_COLUMN_SOURCE_FAILED:
    'The database refused the call or could not be reached. What was converted before stays converted: run it again, from the last cursor or from the start.',
  ERR_COLUMN_SOURCE_UNSUPPORTED:
    'This column, its key or this database cannot be scanned safely. The context says what is expected; write a RowSource for other stores.',
  ERR_COLUMN_SOURCE_KEY:
    'The key columns do not name every row exactly once. Give the columns of the primary key, or of a unique index without nulls.',
  ERR_COLUMN_SOURCE_HIDDEN:
    'Row-level security hides rows from this role, so a count of zero would prove nothing. Run it as the owner of the table or with BYPASSRLS.',
} as const;

/** Stable codes of {@link ColumnMigrationError}. */
export type ColumnMigrationErrorCode = keyof typeof MESSAGES;

export interface ColumnMigrationErrorOptions extends KeywrightErrorOptions {
  /** @default false */
  readonly retryable?: boolean;
  readonly census?: Census;
}

/** A census, a backfill or a finalise step could not do its work. Nothing that was stored is lost by it. */
export class ColumnMigrationError extends KeywrightError<ColumnMigrationErrorCode> {
  /** What was found, with `ERR_COLUMN_NOT_FINAL`. Counts and key ids only. */
  readonly census: Census | undefined;

  constructor(code: ColumnMigrationErrorCode, options: ColumnMigrationErrorOptions = {}) {
    super(code, MESSAGES[code], options.retryable === true, options);
    this.census = options.census;
  }
}
// Not in a static block: bundlers rename a class that speaks of itself.
Object.defineProperty(ColumnMigrationError.prototype, 'name', { value: 'ColumnMigrationError' });
