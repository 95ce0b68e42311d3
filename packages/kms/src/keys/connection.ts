import type { Logger } from '@keywright/envelope';
import type { Knex } from 'knex';
import { invalidArgument, kindOf } from '../arguments.ts';
import { KmsError } from '../errors.ts';
import { type Database, databaseOf } from '../tables/database.ts';
import type { KmsTables } from '../tables/names.ts';

/** The database of the key tables. */
export class KeyDatabase {
  readonly tables: KmsTables;
  readonly database: Database;
  readonly logger: Logger | undefined;
  readonly #knex: Knex;

  constructor(knex: Knex, tables: KmsTables, logger: Logger | undefined) {
    this.database = databaseOf(knex);
    this.tables = tables;
    this.logger = logger;
    this.#knex = knex;
  }

  /** For reads: in the caller's transaction, where one is given. */
  reading(trx: Knex.Transaction | undefined): Knex {
    if (trx === undefined) return this.#knex;
    if ((trx as { isTransaction?: unknown } | null)?.isTransaction === true) return trx;
    throw invalidArgument('trx', 'an open transaction of knex', kindOf(trx));
  }

  /**
   * For changes that a backend takes part in: each must be committed before the backend is asked, and none is undone
   * with a transaction of the caller's.
   * @throws KmsError `ERR_KMS_IN_TRANSACTION`
   */
  committing(operation: string): Knex {
    if (this.#knex.isTransaction) throw new KmsError('ERR_KMS_IN_TRANSACTION', { context: { operation } });
    return this.#knex;
  }

  /** Where the tables are made: also in a transaction. */
  get any(): Knex {
    return this.#knex;
  }

  /** One line for the host's log; a logger that throws is not the caller's concern. */
  warn(message: string): void {
    try {
      this.logger?.warn(`@keywright/kms: ${message}`);
    } catch {
      // there is nowhere else to say it
    }
  }
}
