import type { RowChange, SourceRow } from '../row-source.ts';
import type { ColumnConstraint, ColumnRule } from '../rule.ts';
import type { KnexDatabase } from './database.ts';

/** Where the column is, checked. */
export interface ColumnLocation {
  readonly table: string;
  readonly schema: string | undefined;
  readonly column: string;
  /** Columns of the key, in its order. */
  readonly key: readonly string[];
  /** What values are bound to for each of them. */
  readonly keyNames: readonly string[];
  readonly tenantColumn: string | undefined;
  readonly where: readonly (readonly [column: string, value: string | number | boolean | null])[];
}

/** What is stored in the column, as the driver gives it: JSON as its text. */
export type RawValue = string | number | bigint | Uint8Array | null;

/** A row with its columns under names that no host's knex maps to others. */
export type RawRow = Readonly<Record<`k${number}`, unknown>> & {
  readonly tenant: unknown;
  readonly stored: RawValue;
};

/** A row of a source, with what the database compares. */
export interface KnexRow extends SourceRow {
  /** Values of the key, in its order, as they are bound. */
  readonly bound: readonly (string | number | bigint)[];
  readonly raw: RawValue;
}

export interface RawScan {
  /** Key of the row before. */
  readonly after: readonly unknown[] | undefined;
  readonly limit: number;
}

/** A column of a database, after its catalogue was read. */
export interface EngineColumn {
  /** Whether the column has a JSON type of its own. */
  readonly isJson: boolean;
  scan(db: KnexDatabase, scan: RawScan): Promise<readonly RawRow[]>;
  compareAndSet(db: KnexDatabase, changes: readonly RowChange<KnexRow>[]): Promise<readonly boolean[]>;
  count(db: KnexDatabase): Promise<number | undefined>;
  /** @throws ColumnMigrationError `ERR_COLUMN_SOURCE_HIDDEN`, `ERR_COLUMN_SOURCE_FAILED` */
  constraint(db: KnexDatabase, rule: ColumnRule): Promise<ColumnConstraint>;
}

/** What differs between databases. */
export interface Engine {
  /** Whether a transaction that is open already shows one snapshot. */
  readonly everyTransactionIsSnapshot: boolean;
  /** @throws ColumnMigrationError `ERR_COLUMN_SOURCE_UNSUPPORTED`, `ERR_COLUMN_SOURCE_KEY`, `ERR_COLUMN_SOURCE_FAILED` */
  describe(db: KnexDatabase, location: ColumnLocation): Promise<EngineColumn>;
  /** @throws ColumnMigrationError `ERR_COLUMN_SOURCE_HIDDEN`, `ERR_COLUMN_SOURCE_FAILED` */
  snapshot<T>(db: KnexDatabase, location: ColumnLocation, work: (trx: KnexDatabase) => Promise<T>): Promise<T>;
}
