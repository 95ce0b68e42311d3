import type { KmsError } from '../errors.ts';

const pauses = new WeakMap<KmsError, number>();
const MAX_PAUSE_MS = 2 ** 31 - 1;

/** Notes how long the backend wants to be left alone: the value of `Retry-After`, seconds or a date (RFC 9110, 10.2.3). */
export function withRetryAfter(error: KmsError, retryAfter: string | undefined): KmsError {
  if (retryAfter === undefined) return error;
  const pause = /^\d{1,9}$/.test(retryAfter) ? Number(retryAfter) * 1_000 : Date.parse(retryAfter) - Date.now();
  if (pause > 0) pauses.set(error, Math.min(pause, MAX_PAUSE_MS));
  return error;
}

/** How long to wait before the call is made again, in milliseconds; 0 where the backend did not say. */
export function pauseAfter(error: unknown): number {
  return pauses.get(error as KmsError) ?? 0;
}

/** `error`, with the pause that `origin` asks for. */
export function withPauseOf(error: KmsError, origin: KmsError): KmsError {
  const pause = pauses.get(origin);
  if (pause !== undefined) pauses.set(error, pause);
  return error;
}
