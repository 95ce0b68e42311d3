import type { Knex } from 'knex';
import type { Dialect } from '../dialects/dialect.ts';
import type { TableName, Tables } from '../tables.ts';

/** One step of the schema. Its name is recorded when it has run, and never changes. */
export interface Migration {
  readonly name: string;
  /** What {@link down} loses for good: rows of a table, all of them or those of a condition. */
  readonly losses: readonly Loss[];
  up(trx: Knex, dialect: Dialect, tables: Tables): Promise<void>;
  /** Undoes {@link up}, and what was stored in it. */
  down(trx: Knex, dialect: Dialect, tables: Tables): Promise<void>;
}

export interface Loss {
  readonly table: TableName;
  /** SQL that is true of rows that lose something. */
  readonly where?: string | ((tables: Tables) => string);
}
