import { AsyncLocalStorage } from 'node:async_hooks';
import type { Knex } from 'knex';

/** Work of the caller's that holds a transaction while it uses the store in it. */
interface Turn {
  readonly trx: Knex;
  readonly around: Turn | undefined;
  ended: boolean;
}

/** Last operation of each transaction that callers brought, and of each turn in one. */
const turns = new WeakMap<object, Promise<unknown>>();
const turnsAround = new AsyncLocalStorage<Turn>();

/** The transaction that a savepoint's handle is part of; a transaction itself. */
export function outermost(db: Knex): Knex {
  const { parentTransaction } = db as { readonly parentTransaction?: Knex };
  return parentTransaction === undefined ? db : outermost(parentTransaction);
}

/** Whether it is a transaction that a caller brought, and the store has been used in. */
export function isCallersTransaction(db: Knex): boolean {
  return turns.has(outermost(db));
}

/**
 * Runs `work` when the store's earlier operations in the same transaction have ended. Statements of two operations that
 * the caller started together would otherwise mix on the one connection, and each would see half of the other.
 */
export async function inTurn<T>(trx: Knex, work: () => Promise<T>): Promise<T> {
  const key = turnAround(trx) ?? outermost(trx);
  const mine = (turns.get(key) ?? Promise.resolve()).then(work);
  turns.set(
    key,
    mine.catch(() => undefined),
  );
  return await mine;
}

/**
 * As {@link inTurn}, for work that itself uses the store in this transaction: that is part of its turn.
 *
 * @param hold given what runs such work, and waits for all that it started, whatever becomes of it
 */
export async function holdingTurn<T>(
  trx: Knex,
  hold: (part: <R>(work: () => Promise<R>) => Promise<R>) => Promise<T>,
): Promise<T> {
  const turn: Turn = { trx: outermost(trx), around: turnsAround.getStore(), ended: false };
  return await inTurn(trx, () =>
    hold(async (work) => {
      try {
        return await turnsAround.run(turn, work);
      } finally {
        await allOf(turn);
        turn.ended = true;
      }
    }),
  );
}

/** Waits for what was started in a turn, and what that starts. */
async function allOf(turn: Turn): Promise<void> {
  const last = turns.get(turn);
  await last;
  if (last !== turns.get(turn)) await allOf(turn);
}

function turnAround(trx: Knex): Turn | undefined {
  let turn = turnsAround.getStore();
  while (turn !== undefined && (turn.ended || turn.trx !== outermost(trx))) turn = turn.around;
  return turn;
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
