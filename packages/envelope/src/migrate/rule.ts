/** What every value of the column must be from now on. Nulls are always allowed. */
export interface ColumnRule {
  /** Envelope versions that are allowed. */
  readonly versions: readonly (1 | 2)[];
  /** Forms of envelopes that are allowed: text tokens, JSON objects, bytes. */
  readonly forms: readonly EnvelopeForm[];
  /** The id of a retired key: an envelope that names it is refused. @default none */
  readonly notKid?: string | undefined;
}

export type EnvelopeForm = 'text' | 'object' | 'bytes';

/** SQL that makes a database keep a {@link ColumnRule}. Run the statements one by one; no one runs them for you. */
export interface ColumnConstraint {
  /** Binds every write from now on. On PostgreSQL it does not look at existing rows, so it locks for an instant only. */
  readonly add: readonly string[];
  /** Checks the rows that are there: fails, or on SQLite returns the rows that break the rule. */
  readonly validate: readonly string[];
  /** Takes it away again, as before a key is retired under a rule of its own. */
  readonly drop: readonly string[];
}

/** The form of a stored envelope. */
export function formOf(stored: unknown): EnvelopeForm {
  if (typeof stored === 'object') return ArrayBuffer.isView(stored) ? 'bytes' : 'object';
  return typeof stored === 'string' && stored.startsWith('kw') ? 'text' : 'object';
}
