import type { Keyring } from '../keyring.ts';

/** What a stored value is, told without a key. A value that claims to be an envelope is never called plaintext. */
export type StoredForm =
  | { readonly state: 'null' }
  | { readonly state: 'plaintext' }
  | { readonly state: 'encrypted'; readonly version: 1 | 2; readonly kid: string }
  | { readonly state: 'malformed' };

/** Where a value stands. What is given here must be given again to read it. */
export interface ColumnPlace {
  /**
   * Primary key of the row, by column, all columns of it. Needed where the codec binds the row, ignored where it binds
   * the column. A number and its decimal text are the same key, because drivers differ; strings count as they are, so
   * give a UUID as the database shows it.
   */
  readonly key?: Readonly<Record<string, string | number | bigint>> | undefined;
  /** Tenant of the row, instead of the codec's own. */
  readonly tenant?: string | undefined;
}

/** A plaintext value that a codec let through. */
export interface LegacyRead {
  readonly table: string;
  readonly column: string;
}

/** What kind of value the application has in a column. */
export type ColumnPayload = 'json' | 'text' | 'bytes';

/** What a column is made of in the database. */
export type ColumnStorage = 'text' | 'json' | 'bytes';

export interface ColumnCodecOptions {
  readonly keyring: Keyring;
  /** Name that values are bound to. It stays when the table is renamed. */
  readonly table: string;
  /** Name that values are bound to. It stays when the column is renamed. */
  readonly column: string;
  /**
   * Tenant that values are bound to: a constant, or a function that is asked at every use, such as
   * `tenantFromContext`. A function that returns nothing makes the call fail.
   * @default none: the context holds no tenant
   */
  readonly tenant?: string | (() => string | undefined) | undefined;
  /**
   * What a value is bound to besides table, column and tenant. `'row'` adds the primary key, so that rows cannot be
   * swapped; `'column'` is for hooks that see no row.
   * @default 'row'
   */
  readonly binds?: 'row' | 'column' | undefined;
  /**
   * What the application's values are. Bytes need bytes to be stored in.
   * @default 'json'
   */
  readonly payload?: ColumnPayload | undefined;
  /**
   * The column's type in the database: text holds tokens, JSON holds objects, bytes hold bytes.
   * @default 'text', for bytes 'bytes'
   */
  readonly storage?: ColumnStorage | undefined;
  /**
   * How the driver takes and gives the values of a JSON column: parsed, as PostgreSQL's do, or as JSON text, as SQLite's.
   * @default 'object'
   */
  readonly jsonAs?: 'object' | 'string' | undefined;
  /**
   * Whether a value that is no envelope is read as plaintext of before. What claims to be one never is: an object with
   * `__enc`, the JSON text of one, text that starts like a token, bytes that start like an envelope.
   * @default 'reject'
   */
  readonly legacy?: 'reject' | 'allow' | undefined;
  /**
   * Whether version 1 envelopes, which are bound to nothing, are read.
   * @default 'reject'
   */
  readonly v1?: 'reject' | 'allow' | undefined;
  /**
   * What is written. A fleet ships `'plaintext'` with `legacy: 'allow'` first, and `'v2'` once every process can read it.
   * What is written must be read: `'plaintext'` needs `legacy: 'allow'`, `'v1'` needs `v1: 'allow'` and has no bytes.
   * @default 'v2'
   */
  readonly write?: 'plaintext' | 'v1' | 'v2' | undefined;
  /** Hears of every plaintext value that was let through, to count it. What it throws, `decode` throws. */
  readonly onLegacy?: ((read: LegacyRead) => void) | undefined;
}

/**
 * Encrypts and decrypts the values of one column. SQL's null stays null and undefined stays undefined, so JSON's null
 * cannot be told from SQL's.
 */
export interface ColumnCodec<T> {
  readonly table: string;
  readonly column: string;
  readonly binds: 'row' | 'column';
  readonly payload: ColumnPayload;
  readonly storage: ColumnStorage;
  readonly write: 'plaintext' | 'v1' | 'v2';
  /**
   * What is to be stored. A value is encrypted whatever it looks like: one shaped like an envelope is data, because
   * nobody but the codec makes envelopes. So never encode what was read without being decoded.
   *
   * @throws ColumnError `ERR_COLUMN_ROW_KEY_MISSING`, `ERR_COLUMN_ROW_KEY_INVALID`, `ERR_COLUMN_TENANT_MISSING`,
   * `ERR_COLUMN_VALUE_AMBIGUOUS` (in the clear only); EnvelopeError `ERR_ENVELOPE_INVALID_VALUE`
   */
  encode(value: T, place?: ColumnPlace): unknown;
  /**
   * The value of what was stored, each time a new one; only legacy JSON that the driver parsed is the driver's own.
   *
   * @throws ColumnError `ERR_COLUMN_PLAINTEXT_REFUSED`, `ERR_COLUMN_V1_REFUSED`, `ERR_COLUMN_STORED_TYPE`,
   * `ERR_COLUMN_PAYLOAD_TYPE`, and those of {@link encode} for the place; all that `Keyring.decrypt` throws
   */
  decode(stored: unknown, place?: ColumnPlace): T;
  /** What a stored value is, without a key. */
  inspect(stored: unknown): StoredForm;
}
