/** What a worker is to do: one slice of a table, from where an earlier one ended. */
export interface SliceTask {
  readonly contender: 'backfill' | 'bare';
  readonly rows: number;
  readonly cursor?: string | undefined;
}

export interface WorkerSetup {
  readonly url: string;
  readonly key: string;
  readonly batchRows: number;
}

/** Sent after every batch of the backfill. */
export interface BatchMessage {
  readonly kind: 'batch';
  readonly cursor: string | undefined;
}

/** Sent when the slice is over. */
export interface SliceMessage {
  readonly kind: 'slice';
  readonly cursor: string | undefined;
  readonly done: boolean;
  readonly rows: number;
  readonly elapsedMs: number;
}

export type WorkerMessage = BatchMessage | SliceMessage | { readonly kind: 'ready' };

export const TABLES: Readonly<Record<SliceTask['contender'], string>> = { backfill: 'ours', bare: 'bare' };
