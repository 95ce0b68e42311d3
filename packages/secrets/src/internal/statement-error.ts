import { databaseError } from './database-error.ts';

// A SQLSTATE, or what SQLite has in its place.
const REFUSED = /^(?:[0-9A-Z]{5}|SQLITE_\w+)$/;

/**
 * Whether the database refused a statement for what is in it, and did nothing of it. Not where it may have been done
 * (a lost connection), nor where any statement would have met the same (a shutdown, a timeout, a full disk).
 */
export function wasRefused(error: unknown): boolean {
  const code = (error as { readonly code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' && REFUSED.test(code) && !databaseError(error, '').retryable;
}
