import type { Knex } from 'knex';
import type { Tables } from '../tables.ts';

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
  /**
   * First statement of a transaction that will write. Where a transaction that has read cannot always go on to write,
   * this takes the write lock up front, waiting for it.
   */
  beginWrite(trx: Knex, tables: Tables): Promise<void>;
  /** Whether a lock was refused at once because another holds it: trying again is all that is needed. */
  isLockConflict(error: unknown): boolean;
  /** The time that all processes agree on: leases are compared with it. */
  now(db: Knex): Promise<Date>;
  /** Lets one migrating process in at a time, until the transaction ends. */
  lockForMigration(trx: Knex, tables: Tables): Promise<void>;
  /** Names of a table's columns, in no order. */
  columnsOf(trx: Knex, table: string, schema: string | undefined): Promise<readonly string[]>;
  /** A JSON column as its text, under its own name, whatever the driver or the host would parse it into. */
  jsonText(db: Knex, column: string): string | Knex.Raw;
  hasTable(trx: Knex, table: string, schema: string | undefined): Promise<boolean>;
}
