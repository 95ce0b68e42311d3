import QuickLRU from 'quick-lru';
import type { PublicJwk } from './jwk.ts';
import type { KmsKeyRef } from './provider.ts';

/** Public keys as the backend gave them, for as long as its answer counts as fresh. */
export class PublicKeyCache {
  readonly #keys: QuickLRU<string, PublicJwk>;
  /** Keys that were deleted: an answer that was under way then does not bring them back. */
  readonly #deleted: QuickLRU<string, true>;

  constructor(maxSize: number, ttlMs: number) {
    this.#keys = new QuickLRU({ maxSize, maxAge: ttlMs });
    this.#deleted = new QuickLRU({ maxSize, maxAge: ttlMs });
  }

  get(key: KmsKeyRef): PublicJwk | undefined {
    return this.#keys.get(nameOf(key));
  }

  set(key: KmsKeyRef, publicJwk: PublicJwk): void {
    const name = nameOf(key);
    if (!this.#deleted.has(name)) this.#keys.set(name, publicJwk);
  }

  forget(key: KmsKeyRef): void {
    this.#keys.delete(nameOf(key));
  }

  delete(key: KmsKeyRef): void {
    const name = nameOf(key);
    this.#deleted.set(name, true);
    this.#keys.delete(name);
  }

  clear(): void {
    this.#keys.clear();
  }
}

function nameOf({ tenantId, externalId, externalVersion, alg }: KmsKeyRef): string {
  return JSON.stringify([tenantId, externalId, externalVersion, alg]);
}
