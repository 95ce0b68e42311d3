import { isKeywrightError, type KeywrightError } from '@keywright/envelope';
import { SecretsError } from '../errors.ts';

// SQLSTATEs: serialization failure, deadlock, lock not available, statement timeout, admin shutdown, crash shutdown,
// cannot connect now, too many connections, disk full; and what the driver and the operating system call the same.
const RETRYABLE =
  /^(?:40001|40P01|55P03|57014|57P01|57P02|57P03|53300|53100|08\d{3}|SQLITE_BUSY.*|SQLITE_LOCKED.*|SQLITE_FULL|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT)$/;
const MISSING_RELATION = /^(?:42P01|42703|3F000)$/;

/**
 * The typed error for whatever a database call threw. The driver's own message holds SQL and, depending on the host's
 * configuration, bindings: it is looked at here and never passed on.
 */
export function databaseError(error: unknown, operation: string): KeywrightError {
  if (isKeywrightError(error)) return error;
  const { code, message, name } = (error ?? {}) as { code?: unknown; message?: unknown; name?: unknown };
  const text = typeof message === 'string' ? message : '';
  const state = typeof code === 'string' ? code : '';
  const options = { context: { operation }, cause: error };
  if (MISSING_RELATION.test(state) || /no such (?:table|column)/.test(text)) {
    return new SecretsError('ERR_SECRETS_NOT_MIGRATED', options);
  }
  if (/unable to acquire a connection|connection is not open|pool is destroyed|aborted/i.test(text) && state === '') {
    return new SecretsError('ERR_SECRETS_DATABASE_CLOSED', options);
  }
  const retryable = RETRYABLE.test(state) || name === 'KnexTimeoutError' || /connection terminated/i.test(text);
  return new SecretsError('ERR_SECRETS_DATABASE', { ...options, retryable });
}

/** Runs `work` and throws nothing but typed errors. */
export async function typed<T>(operation: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw databaseError(error, operation);
  }
}
