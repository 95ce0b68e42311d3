import { invalid } from '../columns/options.ts';
import { checkCodec, checkCount, checkHook, checkOptions, checkSource, checkTarget } from './arguments.ts';
import type { BackfillOptions } from './backfill.ts';
import { DEFAULTS, MAX_BATCH_ROWS } from './defaults.ts';

type Required = 'batchRows' | 'maxFailures';

/** Options with their defaults. */
export type CheckedBackfill<T> = Omit<BackfillOptions<T>, Required> & { readonly [Option in Required]: number };

/** @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT` */
export function checkBackfill<T>(options: BackfillOptions<T>): CheckedBackfill<T> {
  const { batchRows = DEFAULTS.batchRows, maxFailures = DEFAULTS.maxFailures, ...given } = checkOptions(options);
  const codec = checkCodec(given.codec);
  const from = checkTarget(given.from);
  if (codec.write === 'plaintext' || ('version' in from && codec.write === 'v1')) {
    throw invalid('codec.write', "'v2'", codec.write);
  }
  const rate = given.rowsPerSecond ?? MAX_BATCH_ROWS;
  checkCount(rate, 'rowsPerSecond', Number.MAX_SAFE_INTEGER);
  return {
    ...given,
    codec,
    from,
    source: checkSource(given.source),
    // A slow run takes small batches, so that a row is stored within seconds of being read.
    batchRows: Math.min(checkCount(batchRows, 'batchRows', MAX_BATCH_ROWS), rate),
    maxFailures: checkCount(maxFailures, 'maxFailures', MAX_BATCH_ROWS),
    onProgress: checkHook(given.onProgress, 'onProgress'),
  };
}
