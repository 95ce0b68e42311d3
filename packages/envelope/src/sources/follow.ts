import { KeyringError } from '../errors.ts';
import type { Keyring } from '../keyring.ts';
import { describe } from '../keywright-error.ts';
import type { Logger } from '../logger.ts';
import { applyMaterial, type KeyChange } from './apply.ts';
import { checkDuration, checkMethods, checkOptions } from './define.ts';
import { KeySourceError } from './errors.ts';
import { loadMaterial } from './load.ts';
import { wipeMaterial } from './material.ts';
import type { KeyMaterial, KeySource } from './source.ts';

const DEFAULT_INTERVAL_MS = 60_000;
const MAX_INTERVAL_MS = 86_400_000;
const MAX_ACTIVATE_AFTER_MS = 30 * MAX_INTERVAL_MS;
const JITTER = 0.1;

export interface FollowOptions {
  /**
   * Time between the end of a load and the next, in milliseconds, ± 10 % so that a fleet spreads out. At most
   * a day.
   * @default 60_000
   */
  readonly intervalMs?: number | undefined;
  /**
   * How long this process must have known a key before it encrypts with it, in milliseconds. At least two intervals, in
   * which every process of the fleet that can load has loaded; at most 30 days. Where a load may take longer than an
   * interval, add that time.
   * @default twice intervalMs
   */
  readonly activateAfterMs?: number | undefined;
  /** Hears of every load that changed something or found a key missing that was there before. */
  readonly onChange?: ((change: KeyChange) => void) | undefined;
  /** Hears of every load by the timer that failed; the keyring is as it was. */
  readonly onError?: ((error: unknown) => void) | undefined;
  /** @default silence */
  readonly logger?: Logger | undefined;
}

export interface ReloadOptions {
  /**
   * Activates the source's active key now, however short this process has known it: for a fleet that is known to have
   * loaded it, or for a fleet of one.
   * @default false
   */
  readonly activate?: boolean | undefined;
}

/** A keyring that follows its source. */
export interface KeySourceFollower {
  /**
   * Loads now. A load that is under way is joined.
   * @throws KeySourceError, KeyringError; the keyring is as it was
   */
  reload(options?: ReloadOptions): Promise<KeyChange>;
  /** Stops the timer, abandons a load and waits for its end. The keyring stays usable. */
  close(): Promise<void>;
}

/**
 * Picks up new keys without a restart. Every interval the source is read again:
 * - a kid that is new is added as decrypt-only;
 * - the source's active kid is activated once this process has known it for `activateAfterMs`;
 * - a kid that is gone from the source stays, and is reported: what it encrypted must stay readable;
 * - a kid with other bytes is refused, with the whole load: `ERR_KEY_SOURCE_KEY_CHANGED`.
 *
 * To rotate a fleet safely, publish in two steps: first the new key beside the old, which stays `activeKid`; then, when
 * every process has had an interval to load it, the new `activeKid`. A process that starts between takes the source's
 * active kid at once, which is why the first step must not name the new one. `activateAfterMs` is the second guard, for
 * a rotation published in one step.
 *
 * A load that fails changes nothing and is tried again at the next interval, not earlier. The timer keeps no process
 * alive.
 *
 * @throws KeySourceError `ERR_KEY_SOURCE_CONFIG`
 *
 * @example
 * ```ts
 * import { fileSource, followKeySource, loadKeyring } from '@keywright/envelope/sources';
 *
 * export async function startUp() {
 *   const source = fileSource('/run/secrets/encryption-key');
 *   const keyring = await loadKeyring(source);
 *   const follower = followKeySource(keyring, source, { logger: console });
 *   return { keyring, close: () => follower.close() };
 * }
 * ```
 */
export function followKeySource(keyring: Keyring, source: KeySource, options: FollowOptions = {}): KeySourceFollower {
  return new Follower(keyring, source, options);
}

class Follower implements KeySourceFollower {
  readonly #keyring: Keyring;
  readonly #source: KeySource;
  readonly #options: FollowOptions;
  readonly #intervalMs: number;
  readonly #activateAfterMs: number;
  readonly #stop = new AbortController();
  /** When a kid was first loaded or seen; what the keyring began with is known since ever. */
  readonly #knownSince: Map<string, number>;
  #missing: ReadonlySet<string> = new Set();
  #timer: NodeJS.Timeout | undefined;
  #running: { readonly activate: boolean; readonly done: Promise<KeyChange> } | undefined;

  constructor(keyring: Keyring, source: KeySource, options: FollowOptions) {
    if (!Array.isArray(keyring?.kids) || typeof keyring.activate !== 'function') {
      throw config('keyring', 'a keyring', describe(keyring));
    }
    if (typeof source?.load !== 'function') throw config('source', 'a key source', describe(source));
    const { onChange, onError, logger } = checkOptions(source.name, options);
    for (const [argument, listener] of Object.entries({ onChange, onError })) {
      if (listener !== undefined && typeof listener !== 'function') {
        throw config(argument, 'a function', describe(listener));
      }
    }
    if (logger !== undefined) checkMethods(source.name, 'logger', logger, 'info', 'error');
    this.#keyring = keyring;
    this.#knownSince = new Map(keyring.kids.map((kid) => [kid, Number.NEGATIVE_INFINITY]));
    this.#source = source;
    this.#options = options;
    const { intervalMs = DEFAULT_INTERVAL_MS } = options;
    this.#intervalMs = checkDuration(source.name, 'intervalMs', intervalMs, MAX_INTERVAL_MS);
    this.#activateAfterMs = checkDuration(
      source.name,
      'activateAfterMs',
      options.activateAfterMs ?? 2 * this.#intervalMs,
      MAX_ACTIVATE_AFTER_MS,
    );
    if (this.#activateAfterMs < 2 * this.#intervalMs) {
      throw config('activateAfterMs', 'at least twice intervalMs', String(this.#activateAfterMs));
    }
    this.#schedule();
  }

  async reload(options: ReloadOptions = {}): Promise<KeyChange> {
    const activate = checkOptions(this.#source.name, options).activate === true;
    while (this.#running !== undefined) {
      const { activate: activates, done } = this.#running;
      if (activates || !activate) return done;
      await done.catch(() => undefined); // its own caller hears of it
    }
    const done = this.#reload(activate);
    this.#running = { activate, done };
    try {
      return await done;
    } finally {
      this.#running = undefined;
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#stop.abort();
    await this.#running?.done.catch(() => undefined); // its own caller hears of it
  }

  async #reload(activate: boolean): Promise<KeyChange> {
    const { name } = this.#source;
    const material = await this.#load();
    try {
      if (this.#stop.signal.aborted) throw this.#aborted();
      // What the host added itself is known to this process only.
      for (const kid of this.#keyring.kids)
        if (!this.#knownSince.has(kid)) this.#knownSince.set(kid, performance.now());
      const change = applyMaterial(this.#keyring, material, {
        driver: name,
        added: (kid) => this.#knownSince.set(kid, performance.now()),
        mayActivate: (kid) => activate || this.#knownForMs(kid) >= this.#activateAfterMs,
      });
      this.#report(change);
      return change;
    } finally {
      wipeMaterial(material);
    }
  }

  /** Loads, and gives up when this is closed, even where the source of a host does not. */
  async #load(): Promise<KeyMaterial> {
    const { signal } = this.#stop;
    if (signal.aborted) throw this.#aborted();
    const stopped = Promise.withResolvers<never>();
    const onAbort = (): void => stopped.reject(this.#aborted());
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const loading = loadMaterial(this.#source, signal).then((material) => {
        if (signal.aborted) wipeMaterial(material); // nobody gets it
        return material;
      });
      return await Promise.race([loading, stopped.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  #aborted(): KeySourceError {
    return new KeySourceError('ERR_KEY_SOURCE_ABORTED', { context: { driver: this.#source.name } });
  }

  #knownForMs(kid: string): number {
    return performance.now() - (this.#knownSince.get(kid) ?? Number.POSITIVE_INFINITY);
  }

  #report(change: KeyChange): void {
    const { added, activated, missing } = change;
    const newlyMissing = missing.some((kid) => !this.#missing.has(kid));
    this.#missing = new Set(missing);
    if (added.length === 0 && activated === undefined && !newlyMissing) return;
    const facts = [
      added.length > 0 ? `added ${added.join(', ')}` : '',
      activated === undefined ? '' : `activated ${activated}`,
      missing.length > 0 ? `no longer in the source, but kept: ${missing.join(', ')}` : '',
    ];
    this.#log('info', `Encryption keys from ${this.#source.name}: ${facts.filter((fact) => fact !== '').join('; ')}.`);
    this.#tell(() => this.#options.onChange?.(change));
  }

  #schedule(): void {
    if (this.#stop.signal.aborted) return;
    const delay = this.#intervalMs * (1 - JITTER + 2 * JITTER * Math.random());
    this.#timer = setTimeout(() => void this.#tick(), delay).unref();
  }

  async #tick(): Promise<void> {
    try {
      await this.reload();
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      const code = error instanceof KeySourceError || error instanceof KeyringError ? error.code : 'an unknown error';
      this.#log(
        'error',
        `Encryption keys from ${this.#source.name} could not be loaded again (${code}). The keys in use stay.`,
      );
      this.#tell(() => this.#options.onError?.(error));
    }
    this.#schedule();
  }

  /** A host's listener that throws or rejects must end neither the timer, nor a load that has happened, nor the process. */
  #tell(listener: () => unknown): void {
    const failed = (): void => this.#log('error', 'A listener of followKeySource threw. It must not.');
    try {
      Promise.resolve(listener()).catch(failed);
    } catch {
      failed();
    }
  }

  #log(level: 'info' | 'error', message: string): void {
    try {
      this.#options.logger?.[level](message);
    } catch {
      // Nobody is left to tell.
    }
  }
}

function config(argument: string, expected: string, received: string): KeySourceError {
  return new KeySourceError('ERR_KEY_SOURCE_CONFIG', { context: { argument, expected, received } });
}
