import { rawCause } from '@keywright/envelope';
import QuickLRU from 'quick-lru';
import type { DriverCall } from '../../driver.ts';
import { KmsError } from '../../errors.ts';
import type { JsonAnswer } from '../../internal/json-http.ts';
import { withPauseOf } from '../../internal/retry-after.ts';
import type { VaultClient } from './client.ts';
import { Flights } from './flights.ts';
import { refusalOf, saysMounted, saysNoMount } from './refusal.ts';

const FLIGHT_MS = 10_000;
const REMEMBERED = 1_000;

/** Makes mounts when they are first wanted: once in a process, and without harm if another was quicker. */
export class Mounts {
  readonly #client: VaultClient;
  readonly #flights = new Flights<void>(FLIGHT_MS);
  /** When mounts were made, as `performance.now()` counts. */
  readonly #made = new QuickLRU<string, number>({ maxSize: REMEMBERED, maxAge: FLIGHT_MS });

  constructor(client: VaultClient) {
    this.#client = client;
  }

  /**
   * The first answer to `ask`, or the second if the first was that nothing is mounted there. Where a mount exists, no
   * right to make one is needed.
   *
   * @throws KmsError `ERR_KMS_DENIED` naming the operation `mount`, if there is none and it may not be made
   */
  async asked(mount: string, call: DriverCall, ask: () => Promise<JsonAnswer>): Promise<JsonAnswer> {
    const asked = performance.now();
    const first = await ask();
    if (!saysNoMount(first)) return first;
    // An answer of before it was made may come after it was.
    if ((this.#made.get(mount) ?? 0) <= asked) {
      await this.#flights.join(mount, call.signal, (signal) => this.#mount(mount, { ...call, signal }));
    }
    const second = await ask();
    if (!saysNoMount(second)) return second;
    // A replica that has not heard of it, or something else is mounted above it.
    throw new KmsError('ERR_KMS_UNAVAILABLE', {
      context: { operation: 'mount', status: second.status, expected: 'the mount that was made' },
    });
  }

  close(): void {
    this.#flights.close();
  }

  async #mount(mount: string, call: DriverCall): Promise<void> {
    const body = { type: 'transit', description: 'Keys of @keywright/kms' };
    try {
      const answer = await this.#client.ask({ method: 'POST', path: `sys/mounts/${mount}`, body }, call);
      if (answer.status >= 300 && !saysMounted(answer)) throw refusalOf(answer);
      this.#made.set(mount, performance.now());
    } catch (error) {
      if (!(error instanceof KmsError)) throw error;
      const { code, retryable } = error;
      const context = { ...error.context, operation: 'mount' };
      throw withPauseOf(new KmsError(code, { retryable, context, cause: rawCause(error) }), error);
    }
  }
}
