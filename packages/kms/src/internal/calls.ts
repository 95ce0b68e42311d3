import { setTimeout as sleep } from 'node:timers/promises';
import { isKeywrightError, rawCause } from '@keywright/envelope';
import pRetry from 'p-retry';
import { checkInteger, invalidArgument, kindOf, readOptions } from '../arguments.ts';
import type { DriverCall } from '../driver.ts';
import { KmsError } from '../errors.ts';
import type { CallOptions } from '../provider.ts';
import { pauseAfter, withPauseOf } from './retry-after.ts';

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

/** Runs the calls of one provider: in time, again where that is safe, ended by `close()`, with typed errors only. */
export class Calls {
  readonly #provider: string;
  readonly #limits: CallLimits;
  readonly #open = new Map<AbortController, CallSubject>();
  #closed = false;

  constructor(provider: string, limits: CallLimits) {
    this.#provider = provider;
    this.#limits = limits;
  }

  /** A call whose driver needs neither timer nor retry. */
  async local<T>(subject: CallSubject, options: CallOptions | undefined, work: Work<T>): Promise<T> {
    const { signal, timeoutMs } = this.#begin(subject, options);
    try {
      return await work(new LocalCall(signal, performance.now() + timeoutMs));
    } catch (error) {
      if (this.#closed) throw this.#error('ERR_KMS_CLOSED', subject, error);
      const isAbort = signal?.aborted === true && !isKeywrightError(error);
      throw isAbort ? this.#error('ERR_KMS_ABORTED', subject, error) : this.#typed(error, subject);
    }
  }

  /** @throws KmsError, and what the driver means to throw of the family */
  async remote<T>(subject: CallSubject, options: CallOptions | undefined, repeat: Repeat, work: Work<T>): Promise<T> {
    const { signal, timeoutMs } = this.#begin(subject, options);
    const ended = new AbortController();
    const timer = setTimeout(() => ended.abort(this.#error('ERR_KMS_TIMEOUT', subject)), timeoutMs);
    const abort = (): void => ended.abort(this.#error('ERR_KMS_ABORTED', subject));
    signal?.addEventListener('abort', abort, { once: true });
    this.#open.set(ended, subject);
    const deadline = performance.now() + timeoutMs;
    // What is not repeated when it took too long gets all the time: making a long key takes seconds.
    const attemptMs = repeat === 'when-refused' ? timeoutMs : this.#limits.attemptTimeoutMs;
    try {
      return await pRetry(() => this.#attempt(subject, ended.signal, deadline, attemptMs, work), {
        retries: repeat === 'never' ? 0 : this.#limits.retries,
        minTimeout: FIRST_PAUSE_MS,
        maxTimeout: LONGEST_PAUSE_MS,
        randomize: true,
        signal: ended.signal,
        shouldRetry: async ({ error }) =>
          isWorthRepeating(error, repeat) && (await pauseHasPassed(error, deadline, ended.signal)),
      });
    } catch (error) {
      throw this.#typed(ended.signal.aborted ? ended.signal.reason : error, subject);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      this.#open.delete(ended);
    }
  }

  /** Ends the calls under way and refuses later ones. */
  close(): void {
    this.#closed = true;
    for (const [ended, subject] of this.#open) ended.abort(this.#error('ERR_KMS_CLOSED', subject));
  }

  /** The time limit holds for drivers that don't look at their signal too. */
  async #attempt<T>(
    subject: CallSubject,
    ended: AbortSignal,
    deadline: number,
    attemptMs: number,
    work: Work<T>,
  ): Promise<T> {
    const attempt = new AbortController();
    const { promise, reject } = Promise.withResolvers<never>();
    const stop = (error: unknown): void => {
      attempt.abort(error);
      reject(error);
    };
    const end = (): void => stop(ended.reason);
    const timer = setTimeout(() => stop(this.#error('ERR_KMS_TIMEOUT', subject)), attemptMs);
    ended.addEventListener('abort', end, { once: true });
    try {
      const until = Math.min(deadline, performance.now() + attemptMs);
      return await Promise.race([promise, work({ signal: attempt.signal, deadline: until })]);
    } catch (error) {
      throw attempt.signal.aborted ? attempt.signal.reason : this.#typed(error, subject);
    } finally {
      clearTimeout(timer);
      ended.removeEventListener('abort', end);
    }
  }

  #begin(
    subject: CallSubject,
    options: CallOptions | undefined,
  ): { signal: AbortSignal | undefined; timeoutMs: number } {
    if (this.#closed) throw this.#error('ERR_KMS_CLOSED', subject);
    if (options === undefined) return { signal: undefined, timeoutMs: this.#limits.timeoutMs };
    const { signal, timeoutMs } = checkCallOptions(options);
    if (signal?.aborted) throw this.#error('ERR_KMS_ABORTED', subject);
    return { signal, timeoutMs: timeoutMs ?? this.#limits.timeoutMs };
  }

  /** Adds to a driver's error what it was about; its text is never passed on. */
  #typed(error: unknown, subject: CallSubject): Error {
    if (!(error instanceof KmsError)) {
      if (isKeywrightError(error)) return error;
      return this.#error('ERR_KMS_BACKEND', subject, error);
    }
    if (error.context.provider !== undefined) return error;
    const typed = new KmsError(error.code, {
      context: { ...this.#context(subject), ...error.context },
      retryable: error.retryable,
      cause: rawCause(error),
    });
    return withPauseOf(typed, error);
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

/** Makes a signal only for who asks for one: that is a share of what a signature costs. */
class LocalCall implements DriverCall {
  readonly callerSignal: AbortSignal | undefined;
  readonly deadline: number;
  #own: AbortSignal | undefined;

  constructor(callerSignal: AbortSignal | undefined, deadline: number) {
    this.callerSignal = callerSignal;
    this.deadline = deadline;
  }

  get signal(): AbortSignal {
    this.#own ??= this.callerSignal ?? new AbortController().signal;
    return this.#own;
  }
}

/** @throws KmsError `ERR_KMS_INVALID_ARGUMENT` */
export function checkCallOptions(options: CallOptions): CallOptions {
  return readOptions(options, 'options', ({ signal, timeoutMs }) => {
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw invalidArgument('signal', 'an AbortSignal', kindOf(signal));
    }
    if (timeoutMs !== undefined) checkInteger(timeoutMs, 'timeoutMs');
    return { signal, timeoutMs };
  });
}

function isWorthRepeating(error: unknown, repeat: Repeat): boolean {
  if (!(error instanceof KmsError) || !error.retryable) return false;
  return repeat === 'always' || error.code === 'ERR_KMS_THROTTLED';
}

/** Waits as long as the backend asked for. At once `false` where the call's time would be over by then. */
async function pauseHasPassed(error: unknown, deadline: number, signal: AbortSignal): Promise<boolean> {
  const pause = pauseAfter(error);
  if (performance.now() + pause >= deadline) return false;
  if (pause > 0) await sleep(pause, undefined, { signal });
  return true;
}
