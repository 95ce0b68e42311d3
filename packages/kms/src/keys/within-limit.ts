import { KmsError } from '../errors.ts';
import type { CallOptions } from '../provider.ts';

/** Longest that making a key may take. */
export const CREATE_LIMIT_MS = 120_000;
const GRACE_MS = 30_000;

/** How long a key counts as being made, so that no `reconcile()` touches it: longer than the call can take. */
export const BUSY_MS: number = CREATE_LIMIT_MS + GRACE_MS;

/**
 * Runs a call that makes a key for no longer than a key may take to be made, also with a provider that was configured
 * to wait longer or does not look at its signal.
 */
export async function withinLimit<T>(options: CallOptions, call: (options: CallOptions) => Promise<T>): Promise<T> {
  const ended = new AbortController();
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    ended.abort();
    reject(new KmsError('ERR_KMS_TIMEOUT'));
  }, CREATE_LIMIT_MS);
  const signal = options.signal === undefined ? ended.signal : AbortSignal.any([options.signal, ended.signal]);
  try {
    return await Promise.race([promise, call({ ...options, signal })]);
  } finally {
    clearTimeout(timer);
  }
}
