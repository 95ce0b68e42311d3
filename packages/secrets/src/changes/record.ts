import type { Knex } from 'knex';
import { v7 as uuidv7 } from 'uuid';
import type { Tables } from '../tables.ts';
import type { ChangeKind } from './change.ts';

/** A change that is being made. */
export interface NewChange {
  readonly kind: ChangeKind;
  readonly tenantId: string;
  readonly secretId: string;
  /** The name after the change. */
  readonly name: string;
  /** The name before it, for a rename. */
  readonly previousName?: string | undefined;
  readonly version: number;
}

// What SQLite takes in one statement, as knex writes it.
const MAX_ROWS = 500;

/** The row of a change, for whatever statement writes it. PostgreSQL sets its position itself, and SQLite counts. */
export function changeRow(change: NewChange): Readonly<Record<string, unknown>> {
  return {
    tenant_id: change.tenantId,
    id: uuidv7(),
    at: new Date(),
    kind: change.kind,
    secret_id: change.secretId,
    secret_name: change.name,
    previous_name: change.previousName ?? null,
    version: change.version,
  };
}

/**
 * Writes changes' rows in the transaction that makes them. Nothing else is written and nobody is notified: a row that
 * every save updates, or a lock that every commit takes, would be the store's speed limit.
 */
export async function insertChanges(trx: Knex, tables: Tables, changes: readonly NewChange[]): Promise<void> {
  for (let from = 0; from < changes.length; from += MAX_ROWS) {
    await trx(tables.changes).insert(changes.slice(from, from + MAX_ROWS).map(changeRow));
  }
}
