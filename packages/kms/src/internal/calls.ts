import { isKeywrightError, rawCause } from '@keywright/envelope';
import pRetry from 'p-retry';
import { checkInteger, invalidArgument, kindOf } from '../arguments.ts';
import type { DriverCall } from '../driver.ts';
import { KmsError } from '../errors.ts';
import type { CallOptions } from '../provider.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

/** Limits of the calls of one provider. */
export interface CallLimits {
  readonly timeoutMs: number;
  readonly attemptTimeoutMs: number;
  readonly retries: number;
}

/** Which failures are tried again: all that are retryable, those of which it is known that nothing was done, or none. */
export type Repeat = 'always' | 'when-refused' | 'never';

/** What a call is about, for its errors. */
export interface CallSubject {
  readonly operation: string;
  readonly keyId?: string | undefined;
  readonly tenantId?: string | undefined;
  readonly alg?: string | undefined;
}

type Work<T> = (call: DriverCall) => Promise<T>;

const NEVER_ABORTED = new AbortController().signal;

/** Runs the calls of one provider: in time, again where that is safe, ended by `close()`, with typed errors only. */
export class Calls {
  readonly #provider: string;
  readonly #limits: CallLimits;
  readonly #open = new Set<AbortController>();
  #closed = false;

  constructor(provider: string, limits: CallLimits) {
    this.#provider = provider;
    this.#limits = limits;
  }

  /** A call whose driver needs neither timer nor retry. */
  async local<T>(subject: CallSubject, options: CallOptions | undefined, work: Work<T>): Promise<T> {
    const { signal, timeoutMs } = this.#begin(options);
    try {
      return await work({ signal: signal ?? NEVER_ABORTED, deadline: performance.now() + timeoutMs });
    } catch (error) {
      throw this.#closed ? this.#error('ERR_KMS_CLOSED', subject, error) : this.#typed(error, subject);
    }
  }

  /** @throws KmsError, and what the driver means to throw of the family */
  async remote<T>(subject: CallSubject, options: CallOptions | undefined, repeat: Repeat, work: Work<T>): Promise<T> {
    const { signal, timeoutMs } = this.#begin(options);
    const ended = new AbortController();
    const timer = setTimeout(() => ended.abort(this.#error('ERR_KMS_TIMEOUT', subject)), timeoutMs);
    const abort = (): void => ended.abort(this.#error('ERR_KMS_ABORTED', subject));
    signal?.addEventListener('abort', abort, { once: true });
    this.#open.add(ended);
    const deadline = performance.now() + timeoutMs;
    try {
      return await pRetry(() => this.#attempt(subject, ended.signal, deadline, work), {
        retries: repeat === 'never' ? 0 : this.#limits.retries,
        minTimeout: FIRST_PAUSE_MS,
        maxTimeout: LONGEST_PAUSE_MS,
        randomize: true,
        signal: ended.signal,
        shouldRetry: ({ error }) => isWorthRepeating(error, repeat),
      });
    } catch (error) {
      throw this.#typed(ended.signal.aborted ? ended.signal.reason : error, subject);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      this.#open.delete(ended);
    }
  }

  /** Ends the calls under way and refuses later ones. Whether this was the first time. */
  close(): boolean {
    const first = !this.#closed;
    this.#closed = true;
    for (const ended of this.#open) ended.abort(this.#error('ERR_KMS_CLOSED', { operation: 'close' }));
    return first;
  }

  /** The time limit holds for drivers that don't look at their signal too. */
  async #attempt<T>(subject: CallSubject, ended: AbortSignal, deadline: number, work: Work<T>): Promise<T> {
    const attempt = new AbortController();
    const { promise, reject } = Promise.withResolvers<never>();
    const stop = (error: unknown): void => {
      attempt.abort(error);
      reject(error);
    };
    const end = (): void => stop(ended.reason);
    const { attemptTimeoutMs } = this.#limits;
    const timer = setTimeout(() => stop(this.#error('ERR_KMS_TIMEOUT', subject)), attemptTimeoutMs);
    ended.addEventListener('abort', end, { once: true });
    try {
      const until = Math.min(deadline, performance.now() + attemptTimeoutMs);
      return await Promise.race([promise, work({ signal: attempt.signal, deadline: until })]);
    } catch (error) {
      throw attempt.signal.aborted ? attempt.signal.reason : this.#typed(error, subject);
    } finally {
      clearTimeout(timer);
      ended.removeEventListener('abort', end);
    }
  }

  #begin(options: CallOptions | undefined): { signal: AbortSignal | undefined; timeoutMs: number } {
    if (this.#closed) throw this.#error('ERR_KMS_CLOSED', { operation: 'close' });
    if (options === undefined) return { signal: undefined, timeoutMs: this.#limits.timeoutMs };
    const { signal, timeoutMs } = checkCallOptions(options);
    if (signal?.aborted) throw this.#error('ERR_KMS_ABORTED', { operation: 'call' });
    return { signal, timeoutMs: timeoutMs ?? this.#limits.timeoutMs };
  }

  /** Adds to a driver's error what it was about; its text is never passed on. */
  #typed(error: unknown, subject: CallSubject): Error {
    if (!(error instanceof KmsError)) {
      if (isKeywrightError(error)) return error;
      return this.#error('ERR_KMS_BACKEND', subject, error);
    }
    if (error.context.provider !== undefined) return error;
    return new KmsError(error.code, {
      context: { ...this.#context(subject), ...error.context },
      retryable: error.retryable,
      cause: rawCause(error),
    });
  }

  #error(code: KmsError['code'], subject: CallSubject, cause?: unknown): KmsError {
    return new KmsError(code, { context: this.#context(subject), cause });
  }

  #context({ operation, keyId, tenantId, alg }: CallSubject): Record<string, string> {
    return {
      provider: this.#provider,
      operation,
      ...(tenantId === undefined ? {} : { tenantId }),
      ...(keyId === undefined ? {} : { keyId }),
      ...(alg === undefined ? {} : { alg }),
    };
  }
}

/** @throws KmsError `ERR_KMS_INVALID_ARGUMENT` */
export function checkCallOptions(options: CallOptions): CallOptions {
  if (typeof options !== 'object' || options === null) throw invalidArgument('options', 'an object', kindOf(options));
  const { signal, timeoutMs } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalidArgument('signal', 'an AbortSignal', kindOf(signal));
  }
  if (timeoutMs !== undefined) checkInteger(timeoutMs, 'timeoutMs');
  return { signal, timeoutMs };
}

function isWorthRepeating(error: unknown, repeat: Repeat): boolean {
  if (!(error instanceof KmsError) || !error.retryable) return false;
  return repeat === 'always' || error.code === 'ERR_KMS_THROTTLED';
}
