import type { Knex } from 'knex';
import type { Dialect } from '../dialects/dialect.ts';
import type { Tables } from '../tables.ts';

/** Runs `work` in a transaction of its own that is ready to write; whatever it throws rolls back. */
export async function writeTransaction<T>(
  knex: Knex,
  dialect: Dialect,
  tables: Tables,
  work: (trx: Knex.Transaction) => Promise<T>,
): Promise<T> {
  return await knex.transaction(
    async (trx) => {
      await dialect.beginWrite(trx, tables);
      return await work(trx);
    },
    knex.isTransaction ? {} : dialect.transaction,
  );
}
