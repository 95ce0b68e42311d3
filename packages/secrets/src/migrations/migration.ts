import type { Knex } from 'knex';
import type { Dialect } from '../dialects/dialect.ts';
import type { Tables } from '../tables.ts';

/** One step of the schema. Its name is recorded when it has run, and never changes. */
export interface Migration {
  readonly name: string;
  up(trx: Knex, dialect: Dialect, tables: Tables): Promise<void>;
  /** Undoes {@link up}, and what was stored in it. */
  down(trx: Knex, dialect: Dialect, tables: Tables): Promise<void>;
}
