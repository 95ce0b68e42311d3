import type { Knex } from 'knex';

/** Last operation of each transaction that callers brought. */
const turns = new WeakMap<object, Promise<unknown>>();

/** The transaction that a savepoint's handle is part of; a transaction itself. */
export function outermost(db: Knex): Knex {
  const { parentTransaction } = db as { readonly parentTransaction?: Knex };
  return parentTransaction === undefined ? db : outermost(parentTransaction);
}

/**
 * Runs `work` when the store's earlier operations in the same transaction have ended. Statements of two operations that
 * the caller started together would otherwise mix on the one connection, and each would see half of the other.
 */
export async function inTurn<T>(trx: Knex, work: () => Promise<T>): Promise<T> {
  const key = outermost(trx);
  const mine = (turns.get(key) ?? Promise.resolve()).then(work);
  turns.set(
    key,
    mine.catch(() => undefined),
  );
  return await mine;
}

/**
 * Runs `work` in a savepoint of a caller's transaction: whatever it throws leaves nothing behind, and the caller may
 * catch it and go on. Made by hand, because knex lets a nested transaction wait for one that the caller has open around
 * this call.
 */
export async function inSavepoint<T>(trx: Knex.Transaction, work: (trx: Knex.Transaction) => Promise<T>): Promise<T> {
  await trx.raw('savepoint keywright');
  let result: T;
  try {
    result = await work(trx);
  } catch (error) {
    try {
      await trx.raw('rollback to savepoint keywright');
      await trx.raw('release savepoint keywright');
    } catch {
      // The connection or the whole transaction is gone, and the change with it; the first error says why.
    }
    throw error;
  }
  await trx.raw('release savepoint keywright');
  return result;
}
