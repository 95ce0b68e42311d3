import { isKeywrightError, type KeywrightError } from '../../keywright-error.ts';
import { ColumnMigrationError } from '../errors.ts';

/** What is needed of a knex instance or transaction. */
export interface KnexDatabase {
  raw(sql: string, bindings: readonly unknown[]): PromiseLike<unknown> & { toQuery(): string };
  transaction<T>(
    work: (trx: KnexDatabase) => Promise<T>,
    config?: { readonly isolationLevel?: 'repeatable read'; readonly readOnly?: boolean },
  ): Promise<T>;
  readonly client: unknown;
  readonly isTransaction?: boolean | undefined;
}

// SQLSTATEs: connection exceptions, serialization failure, deadlock, lock not available, statement and idle timeouts,
// shutdowns, cannot connect now, too many connections, disk full, a standby that took over read-only; and what the driver
// and the operating system call the same.
const RETRYABLE =
  /^(?:08\d{3}|40001|40P01|55P03|57014|57P0[1-5]|25P03|25006|53[13]00|SQLITE_(?:BUSY|LOCKED).*|SQLITE_FULL|E(?:CONN(?:REFUSED|RESET|ABORTED)|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|AI_AGAIN))$/;
const RETRYABLE_TEXT = /connection terminated|connection error|timeout expired|read timeout|not queryable/i;
const LOCKED = /^(?:55P03|40P01)$/;

/**
 * Runs a statement and returns its rows. Throws nothing but typed errors: the driver's own hold SQL and bindings.
 * @throws ColumnMigrationError `ERR_COLUMN_SOURCE_FAILED`
 */
export async function rowsOf<Row>(
  db: KnexDatabase,
  sql: string,
  bindings: readonly unknown[],
): Promise<readonly Row[]> {
  try {
    const result: unknown = await db.raw(sql, bindings);
    return (Array.isArray(result) ? result : ((result as { rows?: unknown }).rows ?? [])) as readonly Row[];
  } catch (error) {
    throw databaseError(error);
  }
}

/**
 * Runs `work` in what `open` opens around it, such as a transaction. What `work` throws is passed on as it is, and
 * anything else as a typed error.
 */
export async function typedAround<Given, T>(
  open: (work: (given: Given) => Promise<T>) => Promise<T>,
  work: (given: Given) => Promise<T>,
): Promise<T> {
  const thrown = new Set<unknown>();
  try {
    return await open(async (given) => {
      try {
        return await work(given);
      } catch (error) {
        thrown.add(error);
        throw error;
      }
    });
  } catch (error) {
    throw thrown.has(error) ? error : databaseError(error);
  }
}

/** Whether a statement gave up on a row that another transaction holds. */
export function isLocked(error: unknown): boolean {
  const cause = isKeywrightError(error) ? (error.cause as { code?: unknown } | undefined) : undefined;
  return typeof cause?.code === 'string' && LOCKED.test(cause.code);
}

/** An identifier as this database and this knex instance quote it. */
export function quoted(db: KnexDatabase, ...names: readonly string[]): string {
  return db.raw(names.map(() => '??').join('.'), names).toQuery();
}

function databaseError(error: unknown): KeywrightError {
  if (isKeywrightError(error)) return error;
  const { code, name, message } = (error ?? {}) as { code?: unknown; name?: unknown; message?: unknown };
  const known = typeof code === 'string' ? code : '';
  const retryable =
    RETRYABLE.test(known) || name === 'KnexTimeoutError' || (known === '' && RETRYABLE_TEXT.test(String(message)));
  return new ColumnMigrationError('ERR_COLUMN_SOURCE_FAILED', { cause: error, retryable });
}
