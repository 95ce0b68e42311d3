import type { KeyWrapper } from '@keywright/envelope';
import type { Knex } from 'knex';
import { checkInteger, checkProviderId, readOptions } from '../../arguments.ts';
import { KmsError } from '../../errors.ts';
import { checkCallOptions } from '../../internal/calls.ts';
import { databaseOf } from '../../tables/database.ts';
import { createKmsTables, type KmsTableOptions } from '../../tables/names.ts';
import { checkRoot } from './check-root.ts';
import { type KeyName, type SoftwareKey, SoftwareKeyRows } from './rows.ts';
import { rewrapDataKey, type SealedKey } from './sealed-key.ts';
import { within } from './within.ts';

/** Options of {@link rewrapSoftwareKeys}. */
export interface RewrapSoftwareKeysOptions {
  readonly knex: Knex;
  /** Holds the root key that is to be used from now on as its active one, and still those that were used before. */
  readonly root: KeyWrapper;
  readonly tables?: KmsTableOptions | undefined;
  /** Only the keys of this provider, where others are under another root. @default all */
  readonly providerId?: string | undefined;
  /**
   * Keys that are read, rewrapped and written at a time.
   * @default 100
   */
  readonly batchRows?: number | undefined;
  /**
   * Longest that the root key may take for one key, in milliseconds.
   * @default 10_000
   */
  readonly rootTimeoutMs?: number | undefined;
  /** Stops between batches. What was rewrapped stays so. */
  readonly signal?: AbortSignal | undefined;
  /** Hears how many were rewrapped so far. */
  readonly onProgress?: ((rewrapped: number) => void) | undefined;
}

/** What {@link rewrapSoftwareKeys} did. */
export interface RewrappedSoftwareKeys {
  /** The root key that they are under now. */
  readonly kid: string;
  readonly rewrapped: number;
  /** Keys that are under another root key still. While there are any, the other keys must stay. */
  readonly remaining: number;
  /** The first 100 of the keys that do not open under the root key they name: changed, moved or damaged. */
  readonly damaged: readonly { readonly tenantId: string; readonly providerId: string; readonly externalId: string }[];
}

// Calls of a remote root key that are under way at a time.
const CALLS_AT_ONCE = 8;
const MAX_REPORTED = 100;
const MAX_BATCH = 1_000;

/**
 * Puts the keys of `db` providers under the active root key: run it after the root was rotated in every process, and
 * before the old root key is dropped. A process that still has the old one active makes keys that nobody rewraps. The
 * sealed keys stay as they are. Each data key has to open its private key, is unwrapped again and
 * compared, and is written only where the row is as it was read: this can run beside live traffic, be stopped at any
 * moment and be run again.
 *
 * A key that does not open is left as it is and named in `damaged`.
 *
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`, `ERR_KMS_ABORTED`, `ERR_KMS_DATABASE`, `ERR_KMS_NOT_MIGRATED`,
 * `ERR_KMS_UNAVAILABLE`, `ERR_KMS_TIMEOUT`; what `root` throws, where that is typed
 */
export async function rewrapSoftwareKeys(options: RewrapSoftwareKeysOptions): Promise<RewrappedSoftwareKeys> {
  const work = readOptions(options, 'options', (given) => ({
    rows: rowsOf(given),
    root: checkRoot(given.root),
    providerId: given.providerId === undefined ? undefined : checkProviderId(given.providerId, 'providerId'),
    limit: checkInteger(given.batchRows ?? 100, 'batchRows', 1, MAX_BATCH),
    timeoutMs: checkInteger(given.rootTimeoutMs ?? 10_000, 'rootTimeoutMs'),
    signal: checkCallOptions({ signal: given.signal }).signal,
    onProgress: given.onProgress,
  }));
  const { rows, root, providerId, limit, signal, onProgress } = work;
  const kid = root.activeKid;
  const damaged: KeyName[] = [];
  let rewrapped = 0;
  for (let after: KeyName | undefined; ; ) {
    if (signal?.aborted) throw new KmsError('ERR_KMS_ABORTED', { context: { operation: 'rewrap', count: rewrapped } });
    const batch = await rows.underOthers(kid, { providerId, after, limit });
    if (batch.length === 0) break;
    const fresh = await rewrapAll(batch, work, damaged);
    rewrapped += await rows.rewrap(fresh);
    onProgress?.(rewrapped);
    after = batch.at(-1)?.at;
  }
  const remaining = await rows.countUnderOthers(kid, providerId);
  return Object.freeze({ kid, rewrapped, remaining, damaged: Object.freeze(damaged) });
}

type Rewrapped = readonly [SoftwareKey, Pick<SealedKey, 'rootKid' | 'wrappedKey'>];

async function rewrapAll(
  batch: readonly SoftwareKey[],
  { root, timeoutMs }: { readonly root: KeyWrapper; readonly timeoutMs: number },
  damaged: KeyName[],
): Promise<readonly Rewrapped[]> {
  const fresh: Rewrapped[] = []; // in the order of the batch: two processes that lock rows in two orders end each other
  for (let start = 0; start < batch.length; start += CALLS_AT_ONCE) {
    const some = batch.slice(start, start + CALLS_AT_ONCE).map(async (key): Promise<Rewrapped | undefined> => {
      const call = { deadline: performance.now() + timeoutMs };
      try {
        const { kid, wrapped: wrappedKey } = await within(call, (ended) => rewrapDataKey(root, key.at, key, ended));
        return [key, { rootKid: kid, wrappedKey }];
      } catch (error) {
        if (!(error instanceof KmsError) || error.code !== 'ERR_KMS_INTEGRITY') throw error;
        const { tenantId, providerId, externalId } = key.at;
        if (damaged.length < MAX_REPORTED) damaged.push(Object.freeze({ tenantId, providerId, externalId }));
        return undefined;
      }
    });
    for (const ended of await Promise.allSettled(some)) {
      if (ended.status === 'rejected') throw ended.reason;
      if (ended.value !== undefined) fresh.push(ended.value);
    }
  }
  return fresh;
}

function rowsOf({ knex, tables }: Partial<RewrapSoftwareKeysOptions>): SoftwareKeyRows {
  databaseOf(knex as Knex);
  return new SoftwareKeyRows(knex as Knex, createKmsTables(tables));
}
