import type { Logger } from '@keywright/envelope';
import type { SecretChange } from '../changes/change.ts';
import type { ChangeFeed } from '../changes/change-feed.ts';
import type { NewChange } from '../changes/record.ts';
import { databaseError } from '../internal/database-error.ts';
import type { Secret } from '../secret.ts';
import { measured } from '../telemetry/observed.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { type CachedSecret, keptSecret, secretOf } from './cached-secret.ts';
import type { CheckedReadCache, ReadCacheOptions } from './options.ts';

interface Entry extends CachedSecret {
  readonly key: string;
  /** When it is forgotten, by `performance.now()`. */
  readonly until: number;
}

// After an error that does not pass by itself; somebody may mend its cause under a running process.
const AGAIN_MS = 30_000;

/** A read that is under way. */
interface Reading {
  readonly key: string;
  stale: boolean;
}

/**
 * Current versions of secrets, decrypted, for reads outside of transactions. It serves only while it hears of changes:
 * the time of the last answered poll of the change feed is at most two polls and a second ago. An entry leaves it when
 * its secret changes, here or elsewhere, when it is too old, or to make room for others.
 */
export class ReadCache {
  readonly #options: CheckedReadCache;
  readonly #feed: ChangeFeed;
  readonly #logger: Logger | undefined;
  readonly #telemetry: Telemetry | undefined;
  /** By tenant and name, the least recently used first. */
  readonly #entries = new Map<string, Entry>();
  readonly #readings = new Set<Reading>();
  #bytes = 0;
  #heardAt = Number.NEGATIVE_INFINITY;
  #wipeAt = 0;
  #following = false;
  #closed = false;

  constructor(
    feed: ChangeFeed,
    options: ReadCacheOptions,
    logger: Logger | undefined,
    telemetry: Telemetry | undefined,
  ) {
    this.#options = options as CheckedReadCache;
    this.#telemetry = telemetry;
    this.#feed = feed;
    this.#logger = logger;
    feed.onOwnChange((change) => this.#forget(change));
  }

  /** A copy of its own for each caller; `undefined` for what the database has to be asked for. */
  find(tenantId: string, name: string): Secret | undefined {
    const found = this.#find(tenantId, name);
    measured(this.#telemetry, 'read_cache.hit', found === undefined ? 0 : 1);
    return found;
  }

  /** Reads a secret and keeps it, unless it is changed while it is read. */
  async filling(tenantId: string, name: string, read: () => Promise<Secret>): Promise<Secret> {
    if (!this.#isHearing()) return await read();
    const reading: Reading = { key: keyOf(tenantId, name), stale: false };
    const until = performance.now() + this.#options.maxAgeMs;
    this.#readings.add(reading);
    try {
      const secret = await read();
      if (reading.stale) return secret;
      this.#keep(reading.key, until, secret);
      // Others that read it now may have looked earlier than this one did.
      for (const other of this.#readings) if (other.key === reading.key) other.stale = true;
      return secret;
    } finally {
      this.#readings.delete(reading);
    }
  }

  /** Forgets a tenant's secrets, as when its key was taken out of use. */
  forgetTenant(tenantId: string): void {
    const prefix = keyOf(tenantId, '');
    this.#forgetWhere((key) => key.startsWith(prefix));
  }

  /** Wipes what it holds. */
  close(): void {
    this.#closed = true;
    this.#forgetWhere(() => true);
  }

  #find(tenantId: string, name: string): Secret | undefined {
    this.#follow();
    const key = keyOf(tenantId, name);
    const entry = this.#entries.get(key);
    if (entry === undefined || !this.#isHearing()) return undefined;
    if (performance.now() >= entry.until || (entry.expiresAt !== null && Date.now() >= entry.expiresAt)) {
      this.#drop(entry);
      return undefined;
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return secretOf(entry);
  }

  #isHearing(): boolean {
    return !this.#closed && performance.now() - this.#heardAt <= 2 * this.#options.pollMs + 1_000;
  }

  #follow(): void {
    if (this.#following || this.#closed) return;
    this.#following = true;
    this.#listen().catch((error: unknown) => {
      this.#heardAt = Number.NEGATIVE_INFINITY;
      this.#forgetWhere(() => true);
      this.#logger?.error(`The read cache is off: ${databaseError(error, 'watch').code}.`);
      setTimeout(() => {
        this.#following = false;
      }, AGAIN_MS).unref();
    });
  }

  async #listen(): Promise<void> {
    for await (const step of this.#feed.followAll(this.#options.pollMs)) {
      if ('gap' in step) {
        this.#heardAt = Number.NEGATIVE_INFINITY;
        this.#forgetWhere(() => true);
        continue;
      }
      const { changes, more, lost } = step.page;
      if (lost) this.#forgetWhere(() => true);
      for (const { change } of changes) this.#forget(change);
      if (!more) this.#heardAt = step.askedAt;
      this.#wipeOld();
    }
  }

  /** By name, which is what is asked for; a rename has two. */
  #forget({ tenantId, name, previousName }: SecretChange | NewChange): void {
    const keys = [keyOf(tenantId, name), ...(previousName ? [keyOf(tenantId, previousName)] : [])];
    for (const reading of this.#readings) if (keys.includes(reading.key)) reading.stale = true;
    for (const key of keys) {
      const entry = this.#entries.get(key);
      if (entry !== undefined) this.#drop(entry);
    }
  }

  #forgetWhere(matches: (key: string) => boolean): void {
    for (const reading of this.#readings) if (matches(reading.key)) reading.stale = true;
    for (const entry of this.#entries.values()) if (matches(entry.key)) this.#drop(entry);
  }

  /** What nobody asks for any more is not left in memory. */
  #wipeOld(): void {
    const now = performance.now();
    if (now < this.#wipeAt) return;
    this.#wipeAt = now + this.#options.maxAgeMs / 4;
    for (const entry of this.#entries.values()) if (entry.until <= now) this.#drop(entry);
  }

  #keep(key: string, until: number, secret: Secret): void {
    if (this.#closed) return;
    const { maxSecrets, maxBytes } = this.#options;
    const kept = keptSecret(secret, maxBytes);
    if (kept === undefined) return;
    const before = this.#entries.get(key);
    if (before !== undefined) this.#drop(before);
    this.#entries.set(key, { ...kept, key, until });
    this.#bytes += kept.bytes;
    for (const oldest of this.#entries.values()) {
      if (this.#entries.size <= maxSecrets && this.#bytes <= maxBytes) return;
      this.#drop(oldest);
    }
  }

  #drop(entry: Entry): void {
    this.#entries.delete(entry.key);
    this.#bytes -= entry.bytes;
    entry.plaintext.fill(0);
  }
}

function keyOf(tenantId: string, name: string): string {
  return `${tenantId}\0${name}`;
}
