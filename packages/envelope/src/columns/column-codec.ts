import type { Keyring } from '../keyring.ts';

/** What a stored value is, told without a key. A value that claims to be an envelope is never called plaintext. */
export type StoredForm =
  | { readonly state: 'null' }
  | { readonly state: 'plaintext' }
  | { readonly state: 'encrypted'; readonly version: 1 | 2; readonly kid: string }
  | { readonly state: 'malformed' };

/** Where a value stands. What is given here must be given again to read it. */
export interface ColumnPlace {
  /** Primary key of the row, by column. Needed where the codec binds the row, ignored where it binds the column. */
  readonly key?: Readonly<Record<string, string | number | bigint>> | undefined;
  /** Tenant of the row, instead of the codec's own. */
  readonly tenant?: string | undefined;
}

/** Told of every plaintext value that a codec let through, so that a host can count them. */
export interface LegacyRead {
  readonly table: string;
  readonly column: string;
}

export interface ColumnCodecOptions {
  readonly keyring: Keyring;
  readonly table: string;
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
   * What the application's values are.
   * @default 'json'
   */
  readonly payload?: 'json' | 'text' | 'bytes' | undefined;
  /**
   * The column's type in the database: text holds tokens, JSON holds objects, bytes hold bytes.
   * @default 'text', for bytes 'bytes'
   */
  readonly storage?: 'text' | 'json' | 'bytes' | undefined;
  /**
   * Whether a value that is no envelope is read as plaintext of before.
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
   * @default 'v2'
   */
  readonly write?: 'plaintext' | 'v1' | 'v2' | undefined;
  readonly onLegacy?: ((read: LegacyRead) => void) | undefined;
}

/** Encrypts and decrypts the values of one column. SQL's null stays null. */
export interface ColumnCodec<T> {
  readonly table: string;
  readonly column: string;
  readonly binds: 'row' | 'column';
  readonly write: 'plaintext' | 'v1' | 'v2';
  /** What is to be stored. */
  encode(value: T, place?: ColumnPlace): unknown;
  /** The value of what was stored. */
  decode(stored: unknown, place?: ColumnPlace): T;
  /** What a stored value is, without a key. */
  inspect(stored: unknown): StoredForm;
}
