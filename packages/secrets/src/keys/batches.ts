import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { Dialect } from '../dialects/dialect.ts';
import { atomically } from '../internal/transactions.ts';
import type { Tables } from '../tables.ts';
import { throwIfAborted } from './root-calls.ts';

/** Where long work reads and writes. */
export interface BatchEnvironment {
  readonly knex: Knex;
  readonly dialect: Dialect;
  readonly tables: Tables;
}

/** One pass through rows in the order of their keys. */
export interface Batches<Row, Ready> {
  readonly signal: AbortSignal | undefined;
  /** The next rows after `after`; none at the end. */
  read(after: Row | undefined): Promise<readonly Row[]>;
  /** What is to be written, made and checked outside any transaction. */
  prepare(rows: readonly Row[]): Promise<Ready>;
  /** Writes a batch; it must be harmless to do so twice. */
  write(ready: Ready): Promise<void>;
}

// Well below the second after which PostgreSQL looks for deadlocks.
const MAX_LOCK_WAIT_MS = 100;

// Live traffic of this process gets its turn after so many keys.
const KEYS_IN_A_ROW = 64;

/**
 * Goes through all rows once. While one batch is written, the next is read and prepared; no more than two are in memory.
 * When it throws, nothing of it is going on any more.
 */
export async function inBatches<Row, Ready>(batches: Batches<Row, Ready>): Promise<void> {
  const { signal } = batches;
  let writing: Promise<void> = Promise.resolve();
  let reading: Promise<readonly Row[]> = batches.read(undefined);
  try {
    for (;;) {
      const rows = await reading;
      throwIfAborted(signal);
      if (rows.length === 0) break;
      reading = watched(batches.read(rows.at(-1)));
      const ready = await batches.prepare(rows);
      await writing;
      throwIfAborted(signal);
      writing = watched(batches.write(ready));
    }
  } finally {
    await Promise.allSettled([reading, writing]);
  }
  await writing;
}

/** `work` for each item, in order, with a turn for others now and then. */
export async function eachInTurn<Item, Made>(
  items: readonly Item[],
  signal: AbortSignal | undefined,
  work: (item: Item) => Made | Promise<Made>,
): Promise<readonly Made[]> {
  const made: Made[] = [];
  for (const item of items) {
    if (made.length % KEYS_IN_A_ROW === 0) {
      await nextTurn();
      throwIfAborted(signal);
    }
    made.push(await work(item));
  }
  return made;
}

/** `work` for each item, at most `width` at a time; after a failure no other is begun. */
export async function eachAtOnce<Item, Made>(
  items: readonly Item[],
  width: number,
  work: (item: Item) => Promise<Made>,
): Promise<readonly Made[]> {
  const made: Made[] = [];
  const left = items.entries();
  let failed = false;
  const worker = async (): Promise<void> => {
    for (const [index, item] of left) {
      if (failed) return;
      try {
        made[index] = await work(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: Math.min(width, items.length) }, worker));
  const refused = ended.find((result) => result.status === 'rejected');
  if (refused !== undefined) throw refused.reason;
  return made;
}

/** A transaction of a batch; run again where the database undid it for another's sake. */
export async function writeBatch<T>(env: BatchEnvironment, work: (trx: Knex.Transaction) => Promise<T>): Promise<T> {
  return await atomically(env.knex, env.dialect, env.tables, work);
}

/**
 * As {@link writeBatch}, for rows that callers' transactions lock too, in an order of their own. A batch that would wait
 * for one of them gives way before the database takes it for a deadlock, and is written without the rows that are locked.
 */
export async function writeAround<T>(
  env: BatchEnvironment,
  work: (trx: Knex.Transaction, skipLocked: boolean) => Promise<T>,
): Promise<T> {
  const { knex, dialect } = env;
  // Inside a transaction, the limit would stay.
  if (knex.isTransaction) return await writeBatch(env, (trx) => work(trx, true));
  try {
    return await writeBatch(env, async (trx) => {
      await dialect.limitLockWait(trx, MAX_LOCK_WAIT_MS);
      return await work(trx, false);
    });
  } catch (error) {
    if (!dialect.isLockTimeout(error)) throw error;
    return await writeBatch(env, (trx) => work(trx, true));
  }
}

/** A promise that is awaited later: that it fails before is no unhandled rejection. */
function watched<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
