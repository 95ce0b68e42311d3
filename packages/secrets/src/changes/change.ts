import type { KeywrightError } from '@keywright/envelope';

/** What was done to a secret. */
export type ChangeKind =
  | 'save'
  | 'update'
  | 'merge'
  | 'rename'
  | 'delete'
  | 'restore'
  | 'destroy'
  | 'purge'
  | 'rollback';

/** A committed change of a secret, without its value. */
export interface SecretChange {
  readonly type: 'change';
  readonly kind: ChangeKind;
  readonly tenantId: string;
  /** Immutable; survives a rename. */
  readonly secretId: string;
  /** The secret's name after the change. */
  readonly name: string;
  /** Its name before a rename; null for every other change. */
  readonly previousName: string | null;
  /** The version that the change is about: the current one, or the one that was destroyed. */
  readonly version: number;
  /** When it was written, by the clock of the process that wrote it; it was committed later. */
  readonly at: Date;
}

/**
 * What a watch hands out.
 *
 * - `change`: a change was committed.
 * - `reset`: changes were lost, because the watch was away for longer than they are kept, or because the database was put
 *   back to an earlier state (noticed until it has gone on as far as it was). Whatever the consumer holds may be stale;
 *   what is committed from now on is heard.
 * - `gap`: the database does not answer. The watch keeps trying; no change is lost meanwhile, but none is heard.
 * - `resumed`: the gap has ended. Changes made during it follow.
 */
export type WatchEvent =
  | SecretChange
  | { readonly type: 'reset' }
  | { readonly type: 'gap'; readonly error: KeywrightError }
  | { readonly type: 'resumed' };

/** Which changes a watch is about. */
export interface ChangeFilter {
  /** All tenants where undefined. */
  readonly tenantId: string | undefined;
  /** Names now or before a rename; all where undefined. */
  readonly names: readonly string[] | undefined;
}
