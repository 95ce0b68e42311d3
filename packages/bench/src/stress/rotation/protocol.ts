/** Which rotation, and of which tables. */
export type Rotation = 'root' | 'tenant';

/** Tables that a rotation goes through, one after the other. */
export type Phase = 'tenant-keys' | 'data-keys' | 'bindings';

export interface WorkerSetup {
  readonly url: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly activeKid: string;
  readonly batchRows: number;
}

export type Task =
  /** Goes on with the rotation until so many rows more are done. */
  | { readonly task: 'rotate'; readonly rotation: Rotation; readonly tenant: string; readonly rows: number }
  /** The same columns of the same tables, read and written back. */
  | {
      readonly task: 'bare';
      readonly phase: Phase;
      readonly tenant: string;
      readonly rows: number;
      readonly after: Key;
    }
  /** Reads secrets until the process is told to stop. */
  | { readonly task: 'read'; readonly tenants: readonly string[]; readonly secrets: number }
  | { readonly task: 'stop' };

/** Of the last row of a batch, in the order of its table's key. */
export type Key = readonly (string | number)[];

/** Rows of one table in a row, without what a call does at its start. */
export interface Segment {
  readonly phase: Phase;
  readonly rows: number;
  readonly elapsedMs: number;
}

export type Answer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'batch' }
  | { readonly kind: 'slice'; readonly segments: readonly Segment[]; readonly done: boolean; readonly rssMiB: number }
  | { readonly kind: 'bare'; readonly segment: Segment; readonly after: Key }
  | { readonly kind: 'refused'; readonly code: string }
  | { readonly kind: 'reads'; readonly reads: number; readonly problems: readonly string[] };

/** Schema of the tables that are not rotated. */
export const BARE = 'bare';

/** What the secret of a name holds. */
export function seededValue(tenant: string, name: string): string {
  return `value of ${tenant} ${name}`;
}

export function nameOf(index: number): string {
  return `s${index}`;
}
