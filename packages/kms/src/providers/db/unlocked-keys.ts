import QuickLRU from 'quick-lru';
import { KmsError } from '../../errors.ts';
import type { KeyPair } from './key-pair.ts';

export interface UnlockedKeysOptions {
  /** Unlocked keys in memory; up to twice as many for a while. */
  readonly maxKeys: number;
  /** How long one stays, in milliseconds. */
  readonly ttlMs: number;
  /** How long a key is used without asking whether it still exists, in milliseconds. */
  readonly recheckMs: number;
}

/** Where keys come from. */
export interface KeySource<Address> {
  /** @throws KmsError `ERR_KMS_KEY_NOT_FOUND` */
  load(address: Address): Promise<KeyPair>;
  exists(address: Address): Promise<boolean>;
}

interface Unlocked {
  readonly pair: KeyPair;
  /** When its row was last seen, as `performance.now()` counts. */
  seenAt: number;
}

/** What is under way for a key, for all who wait. `forgotten` once it was deleted here. */
interface Pending {
  readonly unlocked: Promise<Unlocked>;
  forgotten: boolean;
}

/**
 * Private keys in memory: a bounded number, for a bounded time, and handed out only while their rows exist. They never
 * leave the provider.
 */
export class UnlockedKeys<Address> {
  readonly #source: KeySource<Address>;
  readonly #recheckMs: number;
  readonly #cache: QuickLRU<string, Unlocked>;
  readonly #pending = new Map<string, Pending>();
  readonly #sweeper: NodeJS.Timeout;

  constructor(source: KeySource<Address>, { maxKeys, ttlMs, recheckMs }: UnlockedKeysOptions) {
    this.#source = source;
    this.#recheckMs = recheckMs;
    this.#cache = new QuickLRU({ maxSize: maxKeys, maxAge: ttlMs });
    // The cache drops what is too old when it is asked for it: a key that nobody asks for would stay.
    this.#sweeper = setInterval(() => void [...this.#cache.keys()], ttlMs).unref();
  }

  /** The key, if it is in memory and its row was seen a moment ago. */
  recall(name: string): KeyPair | undefined {
    const known = this.#cache.get(name);
    if (known === undefined || performance.now() - known.seenAt > this.#recheckMs) return undefined;
    return known.pair;
  }

  /**
   * The key, from memory if its row is still there, else from its source; asked once for all who wait.
   * @throws KmsError `ERR_KMS_KEY_NOT_FOUND`, also if it is deleted here meanwhile
   */
  async get(name: string, address: Address): Promise<KeyPair> {
    let pending = this.#pending.get(name);
    if (pending === undefined) {
      const known = this.#cache.get(name);
      pending = {
        unlocked: known === undefined ? this.#load(address) : this.#confirm(known, address),
        forgotten: false,
      };
      this.#pending.set(name, pending);
      void this.#keep(name, pending, known === undefined);
    }
    const { pair } = await pending.unlocked;
    if (pending.forgotten) throw new KmsError('ERR_KMS_KEY_NOT_FOUND');
    return pair;
  }

  /** From now on nobody gets it from memory, and nobody who waits for it. */
  forget(name: string): void {
    this.#cache.delete(name);
    const pending = this.#pending.get(name);
    if (pending !== undefined) pending.forgotten = true;
    this.#pending.delete(name);
  }

  close(): void {
    clearInterval(this.#sweeper);
    for (const name of this.#pending.keys()) this.forget(name);
    this.#cache.clear();
  }

  /** Time counts from before the question: what is deleted while it is answered is found the next time. */
  async #load(address: Address): Promise<Unlocked> {
    const seenAt = performance.now();
    return { pair: await this.#source.load(address), seenAt };
  }

  async #confirm(known: Unlocked, address: Address): Promise<Unlocked> {
    const seenAt = performance.now();
    if (!(await this.#source.exists(address))) throw new KmsError('ERR_KMS_KEY_NOT_FOUND');
    known.seenAt = seenAt;
    return known;
  }

  /**
   * Keeps what was loaded, and forgets a key that is gone. What left memory while its row was looked up stays out: its
   * time would begin anew. Where the database is away, the key stays but is not used. Never rejects.
   */
  async #keep(name: string, pending: Pending, isLoaded: boolean): Promise<void> {
    const settled = (): boolean => this.#pending.get(name) === pending && this.#pending.delete(name);
    try {
      const unlocked = await pending.unlocked;
      if (settled() && isLoaded) this.#cache.set(name, unlocked);
    } catch (error) {
      // Those who wait hear of it.
      const isGone = error instanceof KmsError && error.code === 'ERR_KMS_KEY_NOT_FOUND';
      if (settled() && isGone) this.#cache.delete(name);
    }
  }
}
