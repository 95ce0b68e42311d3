/** Rows of a page or a batch at most: what a statement's parameters and a process's memory bear. */
export const MAX_BATCH_ROWS = 10_000;

export const DEFAULTS: { readonly batchRows: number; readonly maxFailures: number } = Object.freeze({
  batchRows: 1000,
  maxFailures: 100,
});
