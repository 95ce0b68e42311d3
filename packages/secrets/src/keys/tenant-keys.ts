import { randomBytes, randomUUID } from 'node:crypto';
import { createKeyring, isKeywrightError, type Keyring, type KeyWrapper, type WrappedKey } from '@keywright/envelope';
import type { Knex } from 'knex';
import QuickLRU from 'quick-lru';
import { SYSTEM_TENANT } from '../arguments.ts';
import { SecretsError } from '../errors.ts';
import { isCallersTransaction, outermost } from '../internal/callers-transaction.ts';
import { asRow, asRows } from '../internal/rows.ts';
import type { Tables } from '../tables.ts';
import { measured } from '../telemetry/observed.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { unwrapUnderRoot, wrapUnderRoot } from './root-calls.ts';
import { holdRootKey, type RootCandidate, rootCandidate } from './root-keys.ts';

/** A tenant's key-encryption key as it is stored: under the root key. */
export interface TenantKeyRow {
  readonly tenant_id: string;
  readonly kek_id: string;
  readonly wrapped: Buffer | null;
  readonly root_kid: string;
  readonly status: 'active' | 'decrypt-only' | 'disabled' | 'destroyed';
}

/** A new tenant key, wrapped but not stored. */
export interface PreparedKey {
  readonly tenantId: string;
  readonly wrapped: WrappedKey;
  /** The root key that it is under. */
  readonly rootKey: RootCandidate;
  readonly kek: Keyring;
}

/** A tenant key that was not in memory when a call in a caller's transaction needed it. */
export interface ColdKek {
  readonly tenantId: string;
  readonly keyId: string;
}

export interface TenantKeysOptions {
  /** Unwrapped keys kept in memory. */
  readonly maxKeys: number;
  /** How long one is kept, in milliseconds. */
  readonly ttlMs: number;
  /** Time the root key has to wrap or unwrap one, in milliseconds. */
  readonly rootTimeoutMs: number;
  /** What becomes of a key in a caller's transaction that is not in memory. */
  readonly coldKek?: 'unwrap' | 'refuse' | undefined;
  readonly onColdKek?: ((cold: ColdKek) => void) | undefined;
  readonly telemetry?: Telemetry | undefined;
  /** Told that a tenant's key was forgotten or found to be out of use: what was decrypted with it must go too. */
  readonly onForgotten?: ((tenantId: string) => void) | undefined;
}

export const KEK_COLUMNS = ['tenant_id', 'kek_id', 'wrapped', 'root_kid', 'status'] as const;

/**
 * Tenant keys, unwrapped. A key's row is read again for every use, so one that was disabled or destroyed elsewhere is
 * refused although it is still in memory.
 */
export class TenantKeys {
  readonly #root: KeyWrapper;
  readonly #tables: Tables;
  readonly #options: TenantKeysOptions;
  readonly #cache: QuickLRU<string, Keyring>;
  /** Tenant → id of the key it writes with. A hint: the row decides. */
  readonly #active: QuickLRU<string, string>;
  readonly #unwrapping = new Map<string, Promise<Keyring>>();
  /** Keys made in a transaction that has not committed, by the outermost one: they live as long as its object. */
  readonly #uncommitted = new WeakMap<Knex, Map<string, Keyring>>();
  /** Root keys that were compared with the database, by id. */
  readonly #rootKeys = new Map<string, RootCandidate>();

  constructor(root: KeyWrapper, tables: Tables, options: TenantKeysOptions) {
    this.#root = root;
    this.#tables = tables;
    this.#options = options;
    this.#cache = new QuickLRU({ maxSize: options.maxKeys, maxAge: options.ttlMs });
    this.#active = new QuickLRU({ maxSize: options.maxKeys });
  }

  /** The row of the key that this tenant writes with, if it has one yet. */
  async findActive(db: Knex, tenantId: string): Promise<TenantKeyRow | undefined> {
    const query = db(this.#tables.tenantKeys).where({ tenant_id: tenantId, status: 'active' });
    return asRow<TenantKeyRow>(await query.first(...KEK_COLUMNS));
  }

  /**
   * As {@link findActive}, for whoever writes with the key: it stays usable until the transaction ends. Without that, it
   * could be destroyed between this look and the commit, and what was written under it would be lost.
   */
  async holdActive(trx: Knex, tenantId: string): Promise<TenantKeyRow | undefined> {
    return asRow<TenantKeyRow>(
      await trx(this.#tables.tenantKeys)
        .where({ tenant_id: tenantId, status: 'active' })
        .forKeyShare()
        .first(...KEK_COLUMNS),
    );
  }

  /**
   * Keeps keys from being destroyed until the transaction ends: the one that it writes with, and those of what it has read.
   * @throws SecretsError `ERR_SECRETS_KEY_UNAVAILABLE` unless the one is active and the others may still be used
   */
  async holdAll(trx: Knex, tenantId: string, activeId: string, others: readonly string[]): Promise<void> {
    const rows = asRows<Pick<TenantKeyRow, 'kek_id' | 'status'>>(
      await trx(this.#tables.tenantKeys)
        .where({ tenant_id: tenantId })
        .whereIn('kek_id', [activeId, ...others])
        .forKeyShare()
        .select('kek_id', 'status'),
    );
    const states = new Map(rows.map((row) => [row.kek_id, row.status]));
    for (const keyId of [activeId, ...others]) {
      const state = states.get(keyId);
      if (state === 'active' || (state === 'decrypt-only' && keyId !== activeId)) continue;
      throw new SecretsError('ERR_SECRETS_KEY_UNAVAILABLE', {
        context: { tenantId, keyId, ...(state === undefined ? {} : { state }) },
      });
    }
  }

  /** Whether a tenant has a key in any state: one that it cannot use is not replaced without being asked. */
  async hasAny(db: Knex, tenantId: string): Promise<boolean> {
    return (await db(this.#tables.tenantKeys).where({ tenant_id: tenantId }).first('kek_id')) !== undefined;
  }

  /** The rows of all of a tenant's keys, oldest first. */
  async all(db: Knex, tenantId: string): Promise<readonly TenantKeyRow[]> {
    return asRows<TenantKeyRow>(
      await db(this.#tables.tenantKeys)
        .where({ tenant_id: tenantId })
        .orderBy(['created_at', 'kek_id'])
        .select(...KEK_COLUMNS),
    );
  }

  /** The rows of some of a tenant's keys. */
  async find(db: Knex, tenantId: string, kekIds: readonly string[]): Promise<readonly TenantKeyRow[]> {
    return asRows<TenantKeyRow>(
      await db(this.#tables.tenantKeys)
        .where({ tenant_id: tenantId })
        .whereIn('kek_id', kekIds)
        .select(...KEK_COLUMNS),
    );
  }

  /**
   * Makes a key for a tenant and wraps it under the root key; nothing is stored yet. It is unwrapped again at once: a key
   * that does not come back must be noticed before anything is encrypted under it.
   */
  async prepare(db: Knex, tenantId: string): Promise<PreparedKey> {
    const kekId = randomUUID();
    const key = randomBytes(32);
    const call = { tenantId, kekId, timeoutMs: this.#options.rootTimeoutMs };
    let check: Uint8Array | undefined;
    try {
      const wrapped = await wrapUnderRoot(this.#root, key, call);
      check = await unwrapUnderRoot(this.#root, wrapped, call);
      if (!key.equals(check)) throw new SecretsError('ERR_SECRETS_INTEGRITY', { context: { tenantId, keyId: kekId } });
      const rootKey = await this.#rootKey(db, wrapped.kid);
      return { tenantId, wrapped, rootKey, kek: createKeyring({ keys: { [kekId]: key }, activeKid: kekId }) };
    } finally {
      key.fill(0);
      check?.fill(0);
    }
  }

  /**
   * Stores a prepared key as the active one of a tenant that has none, and returns the active row. `made` is false
   * where another process was first.
   *
   * @throws SecretsError `ERR_SECRETS_ROOT_KEY_RETIRED`
   */
  async insert(trx: Knex, prepared: PreparedKey): Promise<{ row: TenantKeyRow; made: boolean }> {
    const { tenantId, wrapped, rootKey, kek } = prepared;
    const kekId = kek.activeKid;
    const held = await holdRootKey(trx, this.#tables, this.#root, rootKey, this.#options.rootTimeoutMs);
    this.#rootKeys.set(held.kid, held);
    await trx(this.#tables.tenantKeys)
      .insert({
        tenant_id: tenantId,
        kek_id: kekId,
        wrapped: Buffer.from(wrapped.wrapped),
        root_kid: wrapped.kid,
        status: 'active',
        created_at: new Date(),
      })
      // the unique index on active keys decides who was first
      .onConflict()
      .ignore();
    const row = await this.findActive(trx, tenantId);
    // A snapshot from before the other process's commit cannot see its key: the transaction has to start over.
    if (row === undefined) throw new SecretsError('ERR_SECRETS_DATABASE', { context: { tenantId }, retryable: true });
    const made = row.kek_id === kekId;
    if (made) {
      const keys = this.#uncommitted.get(outermost(trx)) ?? new Map<string, Keyring>();
      this.#uncommitted.set(outermost(trx), keys.set(kekId, kek));
    }
    return { row, made };
  }

  /** Keeps a key whose row is known to be committed. */
  remember(tenantId: string, kek: Keyring): void {
    this.#cache.set(cacheName(tenantId, kek.activeKid), kek);
  }

  /** Spares the first tenant key a question to the root key, which may be asked in a caller's transaction. */
  rememberRootKeys(verified: readonly RootCandidate[]): void {
    for (const candidate of verified) this.#rootKeys.set(candidate.kid, candidate);
  }

  /** Whether this tenant's key was in memory and active when it was last used. */
  isWarm(tenantId: string): boolean {
    const kekId = this.#active.get(tenantId);
    return kekId !== undefined && this.#cache.has(cacheName(tenantId, kekId));
  }

  /**
   * The key of a row that was just read through `db`.
   * @throws SecretsError `ERR_SECRETS_KEY_UNAVAILABLE`, and as `unwrapUnderRoot` does
   */
  async unwrap(db: Knex, row: TenantKeyRow): Promise<Keyring> {
    const { tenant_id: tenantId, kek_id: kekId, wrapped, status } = row;
    if (status === 'disabled' || status === 'destroyed' || wrapped === null) {
      this.#options.onForgotten?.(tenantId);
      throw new SecretsError('ERR_SECRETS_KEY_UNAVAILABLE', { context: { tenantId, keyId: kekId, state: status } });
    }
    const name = cacheName(tenantId, kekId);
    const known = this.#known(db, row);
    measured(this.#options.telemetry, 'kek_cache.hit', known === undefined ? 0 : 1);
    if (known !== undefined) return known;
    this.#beforeCold(db, row);
    let pending = this.#unwrapping.get(name);
    if (pending === undefined) {
      pending = this.#unwrapNow(row, wrapped).finally(() => this.#unwrapping.delete(name));
      this.#unwrapping.set(name, pending);
    }
    return await pending;
  }

  /** The key, if it is in memory, of a row whose state was just read through `db` and lets it be used. */
  recall(db: Knex, row: Pick<TenantKeyRow, 'tenant_id' | 'kek_id' | 'status'>): Keyring | undefined {
    const known = this.#known(db, row);
    if (known !== undefined) measured(this.#options.telemetry, 'kek_cache.hit', 1);
    return known;
  }

  /** Forgets some of a tenant's unwrapped keys. */
  forget(tenantId: string, kekIds: readonly string[]): void {
    this.#options.onForgotten?.(tenantId);
    this.#active.delete(tenantId);
    for (const kekId of kekIds) this.#cache.delete(cacheName(tenantId, kekId));
  }

  /** Forgets every unwrapped key. */
  clear(): void {
    this.#active.clear();
    this.#cache.clear();
    this.#rootKeys.clear();
  }

  async #rootKey(db: Knex, kid: string): Promise<RootCandidate> {
    const known = this.#rootKeys.get(kid);
    if (known !== undefined) return known;
    const candidate = await rootCandidate(db, this.#tables, this.#root, kid, this.#options.rootTimeoutMs);
    this.#rootKeys.set(kid, candidate);
    return candidate;
  }

  #known(db: Knex, row: Pick<TenantKeyRow, 'tenant_id' | 'kek_id' | 'status'>): Keyring | undefined {
    const { tenant_id: tenantId, kek_id: kekId, status } = row;
    if (status === 'active') this.#active.set(tenantId, kekId);
    return this.#cache.get(cacheName(tenantId, kekId)) ?? this.#uncommitted.get(outermost(db))?.get(kekId);
  }

  /**
   * A holder of the root key that is remote must not be asked in a caller's transaction unawares.
   * @throws SecretsError `ERR_SECRETS_KEY_COLD`
   */
  #beforeCold(db: Knex, { tenant_id: tenantId, kek_id: keyId }: TenantKeyRow): void {
    // The store's own key is unwrapped once, when the store becomes ready.
    if (tenantId === SYSTEM_TENANT || !isCallersTransaction(db)) return;
    const { coldKek, onColdKek } = this.#options;
    try {
      onColdKek?.({ tenantId, keyId });
    } catch {
      // a counter that fails is no reason to refuse a secret
    }
    if (coldKek === 'refuse') throw new SecretsError('ERR_SECRETS_KEY_COLD', { context: { tenantId, keyId } });
  }

  async #unwrapNow(row: TenantKeyRow, wrapped: Buffer): Promise<Keyring> {
    const asked = performance.now();
    const bytes = await unwrapUnderRoot(
      this.#root,
      { kid: row.root_kid, wrapped },
      { tenantId: row.tenant_id, kekId: row.kek_id, timeoutMs: this.#options.rootTimeoutMs },
    );
    measured(this.#options.telemetry, 'kek.unwrap', performance.now() - asked);
    try {
      const kek = createKeyring({ keys: { [row.kek_id]: bytes }, activeKid: row.kek_id });
      this.#cache.set(cacheName(row.tenant_id, row.kek_id), kek);
      return kek;
    } finally {
      bytes.fill(0);
    }
  }
}

/**
 * Whether a key that was needed is destroyed. What was read a moment ago as being under it may be under another one by
 * now: a key is destroyed when nothing is under it any more.
 */
export function needsDestroyedKey(error: unknown): boolean {
  return isKeywrightError(error) && error.code === 'ERR_SECRETS_KEY_UNAVAILABLE' && error.context.state === 'destroyed';
}

function cacheName(tenantId: string, kekId: string): string {
  return `${tenantId}\0${kekId}`;
}
