import type { KeyWrapper } from '@keywright/envelope';
import { KmsError } from '../../errors.ts';
import type { SoftwareKeyRows } from './rows.ts';
import { openKey } from './sealed-key.ts';

/** Keys that are tried: one damaged row must not keep a tenant from making keys. */
const TRIED = 3;

/**
 * Keeps a process whose root key is another one of the same id from sealing keys that no other process could open: before
 * it stores its first key under a root key, that has to open one of those that are there.
 */
export class RootCheck {
  readonly #root: KeyWrapper;
  readonly #rows: SoftwareKeyRows;
  readonly #providerId: string;
  readonly #passed = new Set<string>();

  constructor(root: KeyWrapper, rows: SoftwareKeyRows, providerId: string) {
    this.#root = root;
    this.#rows = rows;
    this.#providerId = providerId;
  }

  /** @throws KmsError `ERR_KMS_INTEGRITY`; and as the root key and the database do */
  async pass(kid: string, signal: AbortSignal): Promise<void> {
    if (this.#passed.has(kid)) return;
    const newest = await this.#rows.newestUnder(kid, this.#providerId, TRIED);
    let refused: KmsError | undefined;
    for (const stored of newest) {
      try {
        (await openKey(this.#root, stored.at, stored, signal)).fill(0);
        this.#passed.add(kid);
        return;
      } catch (error) {
        if (!(error instanceof KmsError) || error.code !== 'ERR_KMS_INTEGRITY') throw error;
        refused = error;
      }
    }
    if (refused !== undefined) throw new KmsError('ERR_KMS_INTEGRITY', { context: { kid }, cause: refused });
  }
}
