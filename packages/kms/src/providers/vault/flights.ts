import { KmsError } from '../../errors.ts';

/** Work that several callers ask for at once and that is done once. */
export class Flights<T> {
  readonly #limitMs: number;
  readonly #ended = new AbortController();
  readonly #flying = new Map<string, Promise<T>>();

  /** @param limitMs longest that the work is waited for: it goes on for the others when a caller leaves */
  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** The work's result, or the caller's signal. What failed is done anew for the next caller. */
  async join(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    let flight = this.#flying.get(key);
    if (flight === undefined) {
      const limit = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(this.#limitMs)]);
      const timeout = (): KmsError => new KmsError('ERR_KMS_TIMEOUT');
      flight = unlessAborted(work(limit), limit, timeout).finally(() => this.#flying.delete(key));
      this.#flying.set(key, flight);
    }
    return await unlessAborted(flight, signal, () => signal.reason);
  }

  close(): void {
    this.#ended.abort();
  }
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal, reason: () => unknown): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(reason());
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', abort));
}
