import type { Knex } from 'knex';
import type { NewChange } from '../changes/record.ts';
import type { Scope } from './scope.ts';

type Change = Omit<NewChange, 'tenantId'>;

/** Adds changes of secrets to the feed, where the store keeps one, in the transaction that makes them. */
export async function recordChanges(scope: Scope, trx: Knex, changes: readonly Change[]): Promise<void> {
  const { tenantId } = scope;
  await scope.changeFeed?.record(
    trx,
    changes.map((change) => ({ ...change, tenantId })),
  );
}

/** As {@link recordChanges}. */
export async function recordChange(scope: Scope, trx: Knex, change: Change): Promise<void> {
  await recordChanges(scope, trx, [change]);
}
