import type { Knex } from 'knex';
import type { ChangeFilter, ChangeKind, SecretChange } from './change.ts';

/** Changes that one poll found. */
export interface ChangePage<Position> {
  /** In the order of their positions, each with where a watch goes on after it. */
  readonly changes: readonly { readonly change: SecretChange; readonly after: Position }[];
  /** Where the next poll starts. */
  readonly next: Position;
  /** Whether there were more than a page holds: the next poll need not wait. */
  readonly more: boolean;
  /** Whether changes between the position and now are gone; then there are none in the page, and `next` is now. */
  readonly lost: boolean;
}

/** Where a watch starts: what is committed from now on, what is still kept, or where another stopped. */
export type Start<Position> = 'now' | 'oldest' | Position;

/** The change table of one kind of database. A position says exactly which changes were read before it. */
export interface ChangeSource<Position> {
  /** One poll, in one statement. */
  read(db: Knex, from: Start<Position>, filter: ChangeFilter): Promise<ChangePage<Position>>;
  /** A position as text that can be kept, and back; `undefined` for text that is none. */
  encode(position: Position): string;
  decode(text: string): Position | undefined;
  /** Everything below this position, as decimal text, has been committed by now or never will be. */
  horizon(db: Knex): Promise<string>;
  /** Deletes the oldest changes below a position; how many. */
  deleteBelow(trx: Knex, position: string, limit: number): Promise<number>;
}

/** What is read at once. */
export const PAGE = 500;

/** The lease that trimming works under, whose state says how far it came. */
export const TRIM_LEASE = 'changes';

/** A row of a poll, as its JSON has it. */
export interface ChangeJson {
  readonly position: string;
  readonly tenant_id: string;
  readonly id: string;
  readonly at: number;
  readonly kind: ChangeKind;
  readonly secret_id: string;
  readonly secret_name: string;
  readonly previous_name: string | null;
  readonly version: number;
}

export function changeOf(row: ChangeJson): SecretChange {
  return Object.freeze({
    type: 'change',
    kind: row.kind,
    tenantId: row.tenant_id,
    secretId: row.secret_id,
    name: row.secret_name,
    previousName: row.previous_name,
    version: row.version,
    at: new Date(row.at),
  });
}

/** How far changes were trimmed: those below this position may be gone. */
export function trimmedTo(state: string | null): bigint {
  return state === null ? 0n : BigInt((JSON.parse(state) as { trimmed: string }).trimmed);
}
