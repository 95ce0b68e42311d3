/** What a process did, or tried to. Times are of a clock that all processes of the machine share, in nanoseconds. */
export interface Operation {
  /** Also in the request of its audit row. */
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly action: 'secret.save' | 'secret.get' | 'secret.delete' | 'secret.list' | 'secret.versions';
  readonly start: bigint;
  readonly end: bigint;
  readonly outcome: Outcome;
}

/** `typed` is false for what is none of the store's errors. */
export type Outcome =
  | { readonly kind: 'done'; readonly done: Done }
  | { readonly kind: 'error'; readonly code: string; readonly retryable: boolean; readonly typed: boolean };

export interface Done {
  readonly secretId?: string | undefined;
  /** The version that was saved, read. */
  readonly version?: number | undefined;
  /** What was saved or read. */
  readonly value?: string | undefined;
  /** The version that a compare-and-set expected. */
  readonly expected?: number | undefined;
}

/** Long work of one process: rotation, sealing. */
export interface Sweep {
  readonly kind: 'seal' | 'rotateTenant' | 'rotateRoot';
  readonly tenant: string | undefined;
  readonly outcome: Outcome;
}

/** Answers that an operation may get however many others are under way: they are audited as refused. */
const EXPECTED_REFUSALS: ReadonlySet<string> = new Set([
  'ERR_SECRETS_ALREADY_EXISTS',
  'ERR_SECRETS_NOT_FOUND',
  'ERR_SECRETS_VERSION_CONFLICT',
]);

/** Whether the store decided so, which is audited; anything else is a failure. */
export function isRefused(outcome: Outcome): boolean {
  return outcome.kind === 'error' && EXPECTED_REFUSALS.has(outcome.code);
}

/** Neither done, nor refused as can be expected, nor something that says itself that it may be tried again. */
export function isEscape(outcome: Outcome): boolean {
  return outcome.kind === 'error' && !isRefused(outcome) && !(outcome.typed && outcome.retryable);
}

/** As a line of a log. */
export function lineOf(entry: Operation | Sweep): string {
  return JSON.stringify(entry, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}

export function entryOf(line: string): Operation | Sweep {
  const entry = JSON.parse(line) as Operation | Sweep;
  return 'id' in entry ? { ...entry, start: BigInt(entry.start), end: BigInt(entry.end) } : entry;
}
