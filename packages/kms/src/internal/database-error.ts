import { isKeywrightError, type KeywrightError } from '@keywright/envelope';
import { KmsError } from '../errors.ts';

// SQLSTATEs: connection exceptions, serialization failure, deadlock, lock not available, timeouts of all kinds,
// shutdowns, too many connections, disk full, a standby that took over read-only; and what the drivers and the operating
// system call the same.
const RETRYABLE =
  /^(?:08\d{3}|40001|40P01|55P03|57014|57P0[1-5]|25P0[34]|25006|53[13]00|SQLITE_(?:BUSY|LOCKED).*|SQLITE_FULL|E(?:CONN(?:REFUSED|RESET|ABORTED)|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|NOTFOUND|AI_AGAIN))$/;
const RETRYABLE_TEXT =
  /connection terminated|connection error|timeout expired|timeout exceeded|read timeout|not queryable/i;
const MISSING_RELATION = /^(?:42P01|42703)$/;
const MISSING_SCHEMA = '3F000';

/**
 * The typed error for whatever a database call threw. The driver's own message holds SQL and, depending on the host's
 * configuration, bindings: it is looked at here and never passed on.
 */
export function databaseError(error: unknown, operation: string): KeywrightError {
  if (isKeywrightError(error)) return error;
  const { code, name, text } = read(error);
  const options = { context: { operation }, cause: error };
  if (MISSING_RELATION.test(code) || (code === 'SQLITE_ERROR' && /no such (?:table|column)/.test(text))) {
    return new KmsError('ERR_KMS_NOT_MIGRATED', options);
  }
  if (code === MISSING_SCHEMA) {
    const context = { operation, argument: 'tables.schema', expected: 'a schema that exists' };
    return new KmsError('ERR_KMS_INVALID_ARGUMENT', { context, cause: error });
  }
  const retryable = RETRYABLE.test(code) || name === 'KnexTimeoutError' || (code === '' && RETRYABLE_TEXT.test(text));
  return new KmsError('ERR_KMS_DATABASE', { ...options, retryable });
}

/** Runs `work` and throws nothing but typed errors. */
export async function typed<T>(operation: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw databaseError(error, operation);
  }
}

function read(error: unknown): { readonly code: string; readonly name: string; readonly text: string } {
  try {
    const { code, name, message } = (error ?? {}) as { code?: unknown; name?: unknown; message?: unknown };
    const string = (value: unknown): string => (typeof value === 'string' ? value : '');
    return { code: string(code), name: string(name), text: string(message) };
  } catch {
    return { code: '', name: '', text: '' }; // a getter that throws says nothing
  }
}
