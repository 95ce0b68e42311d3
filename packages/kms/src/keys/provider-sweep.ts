import { isKeywrightError } from '@keywright/envelope';
import { DEFAULT_ALG } from '../algorithms.ts';
import type { BackendKey, CallOptions, KmsKeyRef, KmsProvider } from '../provider.ts';
import { backendPages, PAGE } from './backend-pages.ts';
import { forEachOf } from './bounded.ts';
import { finishDelete } from './delete-key.ts';
import { type RefRow, refOf } from './key-record.ts';
import { refuseAborted } from './options.ts';
import { backendIsAway, codeOf } from './outcome.ts';
import type { Place, PlaceCursor, Places } from './places.ts';
import type { Findings } from './reconcile-report.ts';

const CONCURRENCY = 4;
/** Keys of a backend that are remembered while its rows are gone through; those beyond are asked for one by one. */
const MAX_SEEN = 100_000;
/** Ended creates that one sweep goes through; the others are for the next. */
const MAX_ENDED = 10_000;
const TABLES = ['keys', 'copies'] as const;

export interface Sweep {
  readonly places: Places;
  readonly provider: KmsProvider;
  readonly findings: Findings;
  readonly olderThanMs: number;
  readonly deleteOrphans: boolean;
  readonly signal: AbortSignal | undefined;
  readonly progress: () => void;
}

/** The provider cannot be asked any more: its sweep ends, that of others goes on. */
export class SweepEnded extends Error {
  constructor(cause: unknown) {
    super('the sweep of a provider ended', { cause });
  }
}

/** Goes through one provider: what it holds, and what the rows say that it holds. */
export class ProviderSweep {
  readonly #sweep: Sweep;
  readonly #call: CallOptions;
  readonly #seen = new Set<string>();

  constructor(sweep: Sweep) {
    this.#sweep = sweep;
    this.#call = { signal: sweep.signal };
  }

  async run(): Promise<void> {
    const { provider, places, findings } = this.#sweep;
    const ended = await this.#endedCreates();
    const listed = provider.capabilities.listKeys && (await this.#list());
    await this.#eachPlace(TABLES, 'deleting', (place) => this.#finish(place));
    const unresolved = listed ? await this.#dropUnmade(ended) : await this.#deleteByName(ended);
    findings.count('underWay', Math.max(0, (await places.creating(provider.id)) - unresolved));
    await this.#eachPlace(['keys'], 'active', ({ row }) => this.#lookFor(row));
  }

  /** Before the list: a create that ends after it may have made a key that the list does not show. */
  async #endedCreates(): Promise<readonly Place[]> {
    const ended: Place[] = [];
    const keep = async (place: Place): Promise<void> => {
      if (ended.length < MAX_ENDED) ended.push(place);
    };
    await this.#eachPlace(TABLES, 'creating', keep);
    return ended;
  }

  /** What the backend holds, before the rows: a row is committed before its key is made. */
  async #list(): Promise<boolean> {
    const { provider, places, findings, progress, signal } = this.#sweep;
    const pages = backendPages(provider, places, this.#call);
    for (;;) {
      const next = await pages.next().catch((error: unknown) => this.#failed(error, {}));
      if (next === false) return false;
      if (next.done === true) return true;
      const { keys, tenantId } = next.value;
      findings.count('checked', keys.length);
      await this.#compare(keys, tenantId);
      progress();
      refuseAborted(signal, 'reconcile');
    }
  }

  async #compare(keys: readonly BackendKey[], tenantId: string | undefined): Promise<void> {
    const { places } = this.#sweep;
    const nameOf = ({ name, externalId }: BackendKey): string => name ?? externalId;
    // Where the backend keeps no names, one could be of a create under way, here or by another provider: asked first,
    // because afterwards the row names the key.
    const anyCreating = keys.some(({ name }) => name === undefined) && (await places.creating()) > 0;
    const known = await places.known(
      keys.map(nameOf),
      keys.map(({ externalId }) => externalId),
    );
    await forEachOf(keys, CONCURRENCY, async (key) => {
      if (this.#seen.size < MAX_SEEN) this.#seen.add(key.externalId);
      const found = known.filter(({ row }) => row.external_id === key.externalId || row.name === nameOf(key));
      if (found.length === 0 && (key.name !== undefined || !anyCreating)) await this.#orphan(key, tenantId);
      for (const place of found) await this.#claim(place, key.externalId);
    });
  }

  /** A key that was made for a row whose create has ended becomes one that is to be deleted. */
  async #claim(place: Place, externalId: string): Promise<boolean> {
    const { places, provider, olderThanMs, findings } = this.#sweep;
    if (place.row.status !== 'creating' || place.row.provider_id !== provider.id) return false;
    const claimed = await places.claim(place, externalId, null, { olderThanMs });
    if (claimed) findings.count('cleared');
    return claimed;
  }

  async #orphan(key: BackendKey, asked: string | undefined): Promise<void> {
    const { provider, findings, deleteOrphans } = this.#sweep;
    const { externalId, name, tenantId = asked, keyId } = key;
    const providerId = provider.id;
    let deleted = false;
    if (deleteOrphans) {
      // A backend that records neither tenant nor key id deletes by its own id alone.
      const of = { tenantId: tenantId ?? 'orphan', keyId: keyId ?? 'orphan' };
      const ref: KmsKeyRef = { ...of, providerId, externalId, externalVersion: null, alg: DEFAULT_ALG };
      deleted = await provider.deleteKey(ref, this.#call).then(
        () => true,
        (error: unknown) => this.#failed(error, key),
      );
    }
    findings.add('orphans', { providerId, externalId, name, tenantId, keyId, deleted });
  }

  async #finish(place: Place): Promise<void> {
    const { places, provider, findings } = this.#sweep;
    try {
      await finishDelete(places, place, provider, this.#call);
      findings.count('deleted');
    } catch (error) {
      this.#failed(error, { tenantId: place.row.tenant_id, keyId: place.row.key_id });
    }
  }

  /** Everything was listed, and what these rows were to be was not there. */
  async #dropUnmade(ended: readonly Place[]): Promise<number> {
    const { places, olderThanMs, findings, signal } = this.#sweep;
    await forEachOf(ended, CONCURRENCY, async (place) => {
      refuseAborted(signal, 'reconcile');
      if (await places.drop(place, 'creating', { olderThanMs })) findings.count('cleared');
    });
    return 0;
  }

  /** Not all was listed. Where the backend calls keys by their names, what may be there can be deleted all the same. */
  async #deleteByName(ended: readonly Place[]): Promise<number> {
    const { places, provider, findings } = this.#sweep;
    const byName = await places.callsByName(provider.id);
    let unresolved = 0;
    await forEachOf(ended, CONCURRENCY, async (place) => {
      const { name, tenant_id: tenantId, key_id: keyId } = place.row;
      if (!byName) {
        unresolved += 1;
        findings.add('unresolved', { providerId: provider.id, tenantId, keyId });
      } else if (await this.#claim(place, name)) {
        await this.#finish({ ...place, row: { ...place.row, external_id: name, status: 'deleting' } });
      }
    });
    return unresolved;
  }

  /** Whether an active key that was not listed is there all the same: not all backends list what they were given. */
  async #lookFor(row: RefRow): Promise<void> {
    const { provider, places, findings } = this.#sweep;
    const { tenant_id: tenantId, key_id: keyId, external_id: externalId } = row;
    if (externalId !== null && this.#seen.has(externalId)) return;
    try {
      await provider.getPublicKey(refOf(row), { ...this.#call, fresh: true });
    } catch (error) {
      if (codeOf(error) === 'ERR_KMS_UNSUPPORTED') return; // this backend does not say
      if (codeOf(error) !== 'ERR_KMS_KEY_NOT_FOUND') return void this.#failed(error, { tenantId, keyId });
      if (await places.isStill(row)) findings.add('missing', { providerId: provider.id, tenantId, keyId });
    }
  }

  async #eachPlace(
    tables: readonly Place['table'][],
    status: string,
    work: (place: Place) => Promise<void>,
  ): Promise<void> {
    const { places, provider, findings, olderThanMs, signal, progress } = this.#sweep;
    const stale = status === 'creating' ? { olderThanMs } : undefined;
    for (const table of tables) {
      for (let after: PlaceCursor | undefined; ; ) {
        refuseAborted(signal, 'reconcile');
        const page = await places.page(table, provider.id, status, after, PAGE, stale);
        findings.count('checked', page.length);
        await forEachOf(page, CONCURRENCY, work);
        progress();
        const last = page.at(-1)?.row;
        if (last === undefined || page.length < PAGE) break;
        after = { tenantId: last.tenant_id, keyId: last.key_id, name: last.name };
      }
    }
  }

  /** Goes on after what concerns one key or one question, and ends where the backend or the database is away. */
  #failed(error: unknown, { tenantId, keyId }: Pick<BackendKey, 'tenantId' | 'keyId'>): false {
    const { provider, findings, signal } = this.#sweep;
    refuseAborted(signal, 'reconcile');
    if (isOfTables(error)) throw error;
    if (backendIsAway(error)) throw new SweepEnded(error);
    findings.add('failures', { providerId: provider.id, tenantId, keyId, code: codeOf(error) });
    return false;
  }
}

/** Of the database that holds the rows, not of a provider that keeps its keys in one. */
function isOfTables(error: unknown): boolean {
  return (
    error instanceof SweepEnded ||
    (isKeywrightError(error) &&
      (error.code === 'ERR_KMS_DATABASE' || error.code === 'ERR_KMS_NOT_MIGRATED') &&
      error.context.provider === undefined)
  );
}
