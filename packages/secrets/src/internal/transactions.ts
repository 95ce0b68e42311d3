import { setTimeout as sleep } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { Dialect } from '../dialects/dialect.ts';
import type { Tables } from '../tables.ts';
import { inSavepoint } from './callers-transaction.ts';
import { retried } from './retried.ts';

const MAX_WAIT_MS = 5_000;
const MAX_PAUSE_MS = 100;

class NotLocked {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

/**
 * Runs `work` in a transaction of its own that is ready to write, or in a savepoint of the transaction that `db` is.
 * Whatever it throws rolls back. A transaction of its own that the database undid for the sake of another one is run
 * again, so `work` must have no lasting effect besides what it writes.
 */
export async function atomically<T>(
  db: Knex,
  dialect: Dialect,
  tables: Tables,
  work: (trx: Knex.Transaction) => Promise<T>,
): Promise<T> {
  if (db.isTransaction) return await inSavepoint(db as Knex.Transaction, work);
  return await retried(() => lockedTransaction(db, dialect, (trx) => dialect.beginWrite(trx, tables), work));
}

/**
 * A transaction whose first act is to take a lock. Where the database answers "busy" instead of waiting, the transaction
 * starts over for up to 5 seconds: it has done nothing yet. What `work` throws is never tried again.
 */
export async function lockedTransaction<T>(
  knex: Knex,
  dialect: Dialect,
  lock: (trx: Knex.Transaction) => Promise<void>,
  work: (trx: Knex.Transaction) => Promise<T>,
): Promise<T> {
  const start = performance.now();
  for (let attempt = 1; ; attempt++) {
    try {
      return await knex.transaction(
        async (trx) => {
          await lock(trx).catch((error: unknown) => {
            throw new NotLocked(error);
          });
          return await work(trx);
        },
        knex.isTransaction ? {} : dialect.transaction,
      );
    } catch (error) {
      if (!(error instanceof NotLocked)) throw error;
      const waited = performance.now() - start;
      if (waited > MAX_WAIT_MS || !dialect.isLockConflict(error.cause)) throw error.cause;
      await sleep(Math.random() * Math.min(MAX_PAUSE_MS, 2 ** attempt));
    }
  }
}
