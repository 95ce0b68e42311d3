import { checkInteger, checkProviderId, invalidArgument, kindOf, readOptions } from '../arguments.ts';
import { checkCallOptions } from '../internal/calls.ts';
import type { KeyDatabase } from './connection.ts';
import { type KeyProviders, providerOf } from './key-providers.ts';
import { refuseAborted } from './options.ts';
import { codeOf } from './outcome.ts';
import { Places } from './places.ts';
import { ProviderSweep, SweepEnded } from './provider-sweep.ts';
import { Findings, type ReconcileCounts, type ReconcileReport } from './reconcile-report.ts';

export interface ReconcileOptions {
  /** Only this provider. @default all that are configured or named by a row */
  readonly provider?: string | undefined;
  /**
   * How long ago a create must have been heard of last to count as ended, in milliseconds. One that may still be under
   * way is not touched whatever this says: that is up to 150 seconds after it began.
   * @default 600_000
   */
  readonly olderThanMs?: number | undefined;
  /**
   * Whether keys that no row knows are deleted in their backends. Only where these tables are the only ones that use
   * these backends: another deployment's keys look the same.
   * @default false
   */
  readonly deleteOrphans?: boolean | undefined;
  /** Ends it between two calls. */
  readonly signal?: AbortSignal | undefined;
  /** Told after each page, and of what. */
  readonly onProgress?: ((progress: ReconcileProgress) => void) | undefined;
}

export interface ReconcileProgress extends ReconcileCounts {
  readonly providerId: string;
}

const DEFAULT_AGE_MS = 600_000;

/** Makes backends and rows agree again; see {@link KmsKeys.reconcile}. */
export async function reconcile(
  db: KeyDatabase,
  providers: KeyProviders,
  options: ReconcileOptions | undefined,
): Promise<ReconcileReport> {
  const checked = checkReconcile(options);
  const places = new Places(db, 'reconcile');
  const findings = new Findings();
  const ids = checked.provider === undefined ? await allIds(places, providers) : [checked.provider];
  for (const providerId of ids) {
    refuseAborted(checked.signal, 'reconcile');
    const progress = (): void => checked.onProgress?.({ providerId, ...findings.counts });
    try {
      const provider = providerOf(providers, providerId);
      await new ProviderSweep({ ...checked, places, provider, findings, progress }).run();
    } catch (error) {
      refuseAborted(checked.signal, 'reconcile');
      // A provider that is away hides nothing of the others. A database that is away ends it all.
      const failure = error instanceof SweepEnded ? error.cause : error;
      if (!(error instanceof SweepEnded) && codeOf(error) !== 'ERR_KMS_PROVIDER_UNKNOWN') throw error;
      if (checked.provider !== undefined && codeOf(failure) === 'ERR_KMS_PROVIDER_UNKNOWN') throw failure;
      findings.add('failures', { providerId, code: codeOf(failure) });
    }
    progress();
  }
  return findings.report();
}

async function allIds(places: Places, providers: KeyProviders): Promise<readonly string[]> {
  const configured = (providers.providers ?? []).map(({ id }) => id);
  return [...new Set([...configured, ...(await places.providers())])];
}

function checkReconcile(options: ReconcileOptions | undefined): {
  readonly provider: string | undefined;
  readonly olderThanMs: number;
  readonly deleteOrphans: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ReconcileOptions['onProgress'];
} {
  return readOptions(options, 'options', ({ provider, olderThanMs, deleteOrphans, signal, onProgress }) => {
    if (deleteOrphans !== undefined && typeof deleteOrphans !== 'boolean') {
      throw invalidArgument('deleteOrphans', 'a boolean', kindOf(deleteOrphans));
    }
    if (onProgress !== undefined && typeof onProgress !== 'function') {
      throw invalidArgument('onProgress', 'a function', kindOf(onProgress));
    }
    checkCallOptions({ signal });
    return {
      provider: provider === undefined ? undefined : checkProviderId(provider, 'provider'),
      olderThanMs: checkInteger(olderThanMs ?? DEFAULT_AGE_MS, 'olderThanMs', 0),
      deleteOrphans: deleteOrphans ?? false,
      signal,
      onProgress,
    };
  });
}
