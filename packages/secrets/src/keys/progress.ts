import { checkText, invalidArgument, kindOf, readOptions } from '../arguments.ts';
import { SecretsError } from '../errors.ts';

/** What long work is at: which rows it goes through, and how far it has come. */
export interface KeyProgress {
  /**
   * `tenant-keys`: keys of tenants under the root key. `data-keys`: data keys of versions under the tenant's key.
   * `bindings`: what holds a secret's pointers under the tenant's key. `values`: versions that are encrypted anew.
   */
  readonly phase: 'tenant-keys' | 'data-keys' | 'bindings' | 'values';
  /** Rows written since the call began, in all phases. */
  readonly done: number;
  /** Rows that there were to write when it began; more may come, and others may do some of them. */
  readonly total: number;
  /** Rows written by the batch that has just been committed. */
  readonly batch: number;
  /** Milliseconds since the call began. */
  readonly elapsedMs: number;
}

/** Options of all long work on keys. */
export interface KeyWorkOptions {
  /** Who asks, as the audit log names them. */
  readonly actor: string;
  /** Called after every batch, when it is committed. */
  readonly onProgress?: ((progress: KeyProgress) => void) | undefined;
  /** Ends the work between two batches, or in a remote call. What was committed stays; another call goes on. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Rows that are read and written at once, 1 to 10,000. More take more memory, and hold locks for longer.
   * @default 1_000
   */
  readonly batchRows?: number | undefined;
  /**
   * Changes nothing, and says in `pending` how many rows there are to do.
   * @default false
   */
  readonly dryRun?: boolean | undefined;
}

/** {@link KeyWorkOptions}, checked. */
export interface KeyWork extends Pick<KeyWorkOptions, 'actor' | 'onProgress' | 'signal'> {
  readonly batchRows: number;
  readonly dryRun: boolean;
}

const DEFAULT_BATCH = 1_000;
const MAX_BATCH = 10_000;

/** A checked copy. @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkKeyWork(options: KeyWorkOptions | undefined): KeyWork {
  return readOptions(options ?? (null as never), 'options', (given) => ({
    actor: checkText(given.actor, 'actor'),
    onProgress: checkCallback(given.onProgress),
    signal: checkSignal(given.signal),
    batchRows: given.batchRows === undefined ? DEFAULT_BATCH : checkBatch(given.batchRows),
    dryRun: given.dryRun === true,
  }));
}

/** Tells the caller of every batch. */
export class ProgressReport {
  readonly #work: KeyWork;
  readonly #total: number;
  readonly #start: number = performance.now();
  #done = 0;

  constructor(work: KeyWork, total: number) {
    this.#work = work;
    this.#total = total;
  }

  /** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` for a callback that throws */
  batch(phase: KeyProgress['phase'], rows: number): void {
    this.#done += rows;
    const progress: KeyProgress = Object.freeze({
      phase,
      done: this.#done,
      total: this.#total,
      batch: rows,
      elapsedMs: performance.now() - this.#start,
    });
    try {
      this.#work.onProgress?.(progress);
    } catch (error) {
      const context = { argument: 'onProgress', expected: 'a function that does not throw' };
      throw new SecretsError('ERR_SECRETS_INVALID_ARGUMENT', { context, cause: error });
    }
  }
}

export function checkSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw invalidArgument('signal', 'an AbortSignal', kindOf(signal));
}

function checkCallback<Callback>(callback: Callback | undefined): Callback | undefined {
  if (callback === undefined || typeof callback === 'function') return callback;
  throw invalidArgument('onProgress', 'a function', kindOf(callback));
}

function checkBatch(rows: unknown): number {
  if (Number.isSafeInteger(rows) && Number(rows) >= 1 && Number(rows) <= MAX_BATCH) return Number(rows);
  throw invalidArgument('batchRows', `an integer from 1 to ${MAX_BATCH}`, kindOf(rows));
}
