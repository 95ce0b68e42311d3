import type { Knex } from 'knex';
import type { Tables } from '../tables.ts';
import type { Conditions } from './conditions.ts';
import type { AuditRowKey } from './number-leaves.ts';
import type { GetForm, GetKind, Statement } from './statement.ts';
import type { ManyRows } from './update-many.ts';

/** Column types of the migrations. */
export interface ColumnTypes {
  readonly bytes: string;
  readonly json: string;
  readonly timestamp: string;
  readonly uuid: string;
  readonly boolean: string;
  /** A primary key that counts rows as they are written, where one writer at a time makes that the order of commits. */
  readonly rowCount: string;
}

/** A table's columns and indexes, to tell whether it is the store's. */
export interface TableShape {
  /** `name type`, then `key` and its place in the primary key, or `null` where it may be null; types as in {@link ColumnTypes}. */
  readonly columns: readonly string[];
  /** Names of its indexes, among others; then `unique` where it is. */
  readonly indexes: readonly string[];
}

/**
 * What differs between databases. Everything else of the store is one code base.
 */
export interface Dialect {
  readonly name: 'postgres' | 'sqlite';
  readonly types: ColumnTypes;
  /** Whether an audit row can be committed while the caller's transaction is open. */
  readonly concurrentWriters: boolean;
  /** Options of the store's own transactions. */
  readonly transaction: Knex.TransactionConfig;
  /** Options of a transaction all of whose reads see the database at one moment. */
  readonly snapshot: Knex.TransactionConfig;
  /**
   * First statement of a transaction that will write. Where a transaction that has read cannot always go on to write,
   * this takes the write lock up front, waiting for it.
   */
  beginWrite(trx: Knex, tables: Tables): Promise<void>;
  /** Whether a lock was refused at once because another holds it: trying again is all that is needed. */
  isLockConflict(error: unknown): boolean;
  /** Lets statements of this transaction wait so long for a lock; then they fail, and the transaction with them. */
  limitLockWait(trx: Knex, ms: number): Promise<void>;
  /** Whether a statement has waited for a lock for as long as it may. */
  isLockTimeout(error: unknown): boolean;
  /** The time that all processes agree on: leases are compared with it. */
  now(db: Knex): Promise<Date>;
  /** Lets one migrating process in at a time, until the transaction ends. */
  lockForMigration(trx: Knex, tables: Tables): Promise<void>;
  /** What a table that exists looks like. */
  shapeOf(db: Knex, table: string, schema: string | undefined): Promise<TableShape>;
  /**
   * Refuses to look for rows of any tenant where the database would hide them.
   * @param table with its schema
   * @throws SecretsError `ERR_SECRETS_RLS_BLIND`
   */
  refuseBlindness(db: Knex, table: string): Promise<void>;
  /** A JSON column as its text, under its own name, whatever the driver or the host would parse it into. */
  jsonText(db: Knex, column: string): string | Knex.Raw;
  /** Filters of lists. */
  readonly conditions: Conditions;
  /** Whether a row was refused because another has its unique key. */
  isUniqueViolation(error: unknown): boolean;
  /** Sets many rows, each to values of its own, in one round trip. Returns how many were set. */
  updateMany(trx: Knex, rows: ManyRows): Promise<number>;
  /** Gives unsealed audit rows consecutive leaves from `first` on, in their order. Returns how many were unsealed. */
  numberLeaves(trx: Knex, tables: Tables, keys: readonly AuditRowKey[], first: number): Promise<number>;
  /** Hot statements, each one round trip; `undefined` where a round trip costs nothing, and the query builder will do. */
  readonly statements: HotStatements | undefined;
  hasTable(trx: Knex, table: string, schema: string | undefined): Promise<boolean>;
}

/** Statements that are prepared once per connection. */
export interface HotStatements {
  /** Reads secrets with their values, and writes the audit rows of that. */
  get(tables: Tables, kind: GetKind, form: GetForm): Statement;
  /** Writes audit rows. */
  audit(tables: Tables): Statement;
  /** Reads what saves have to know of the names they are about. */
  saveState(tables: Tables, maxDeleted: number): Statement;
  /** Writes saves with their audit rows. */
  save(tables: Tables, form: 'one' | 'many'): Statement;
}
