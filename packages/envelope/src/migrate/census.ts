import type { ColumnCodec } from '../columns/column-codec.ts';
import { checkCodec, checkCount, checkHook, checkOptions, checkSource } from './arguments.ts';
import { DEFAULTS, MAX_BATCH_ROWS } from './defaults.ts';
import type { RowSource } from './row-source.ts';
import { Tally } from './tally.ts';

/** Rows whose value names a key. */
export interface KidCount {
  readonly v1: number;
  readonly v2: number;
}

/** What a column holds, in rows. Told without a key, so nothing here is authenticated. */
export interface Census {
  readonly rows: number;
  readonly nulls: number;
  readonly plaintext: number;
  /** Values that claim to be an envelope and are none that could be read. */
  readonly malformed: number;
  readonly byVersion: { readonly 1: number; readonly 2: number };
  /** kid → rows. Has no prototype, because a kid may be called `constructor`. */
  readonly byKid: Readonly<Record<string, KidCount>>;
  /** Rows of further kids, beyond the first 1,024. */
  readonly otherKids: number;
}

export interface CensusOptions<T> {
  readonly codec: ColumnCodec<T>;
  readonly source: RowSource;
  /** Rows per page. @default 1000 */
  readonly batchRows?: number | undefined;
  /** Stops the scan: the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Hears of every page with the rows counted so far, and may return a promise to be waited for. */
  readonly onProgress?: ((progress: { readonly rows: number }) => unknown) | undefined;
}

/**
 * Counts a column in one scan: how many rows are plaintext, of which version, under which key. Reads only, needs no key,
 * takes constant memory. Writers may go on meanwhile: each row counts as it was when its page was read.
 *
 * @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT`; ColumnMigrationError `ERR_COLUMN_SOURCE_FAILED` and what else the
 * source throws
 *
 * @example
 * ```ts
 * import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
 * import { columnCodec } from '@keywright/envelope/columns';
 * import { census, memoryRowSource } from '@keywright/envelope/migrate';
 *
 * const keyring = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
 * const codec = columnCodec({ keyring, table: 'connections', column: 'credentials' });
 * const source = memoryRowSource([{ key: { id: 1 }, stored: '{"apiKey":"sk_test_1"}' }]);
 * const { plaintext } = await census({ codec, source }); // 1
 * ```
 */
export async function census<T>(options: CensusOptions<T>): Promise<Census> {
  const { codec, source, batchRows = DEFAULTS.batchRows, signal, onProgress } = checkOptions(options);
  checkCodec(codec);
  checkSource(source);
  checkCount(batchRows, 'batchRows', MAX_BATCH_ROWS);
  checkHook(onProgress, 'onProgress');
  const tally = new Tally();
  await countRows({ codec, source, batchRows, signal, onProgress }, tally);
  return tally.census();
}

/** One scan from the first row to the last. Precondition: the options are checked. */
export async function countRows<T>(
  { codec, source, batchRows, signal, onProgress }: CensusOptions<T> & { readonly batchRows: number },
  tally: Tally,
): Promise<void> {
  let after: string | undefined;
  do {
    signal?.throwIfAborted();
    const page = await source.scan({ after, limit: batchRows, signal });
    for (const { stored } of page.rows) tally.add(codec.inspect(stored), stored);
    await onProgress?.({ rows: tally.rows });
    after = page.cursor;
  } while (after !== undefined);
}
