import type { Knex } from 'knex';
import { asRows } from '../internal/rows.ts';
import type { Located } from '../locator.ts';
import { findDeleted, findLiving } from './find.ts';
import { recordChanges } from './record-change.ts';
import { notFound, type SecretRow, secretColumns, verifyBindings } from './rows.ts';
import type { Scope } from './scope.ts';

/** What a purge of deleted secrets left behind. */
export interface PurgedSecrets {
  readonly purged: number;
  /** Whether there is more to purge: call again. */
  readonly more: boolean;
}

/**
 * Removes a secret with all its versions, deleted or not; of a name the living one, else the deleted one that was made
 * last. Also where its tenant key is gone.
 *
 * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_INTEGRITY`
 */
export async function purgeSecret(scope: Scope, trx: Knex, at: Located): Promise<SecretRow> {
  const row =
    (await findLiving(scope, trx, at, { lock: true, destroyed: 'skip-destroyed' })) ??
    (await findDeleted(scope, trx, at));
  if (row === undefined) throw notFound(scope);
  await verifyBindings(scope, trx, [row], [], 'skip-destroyed');
  await remove(scope, trx, [row]);
  return row;
}

/**
 * Removes secrets that were deleted, those that were deleted first first.
 * @param before only those that were deleted before
 * @throws SecretsError `ERR_SECRETS_INTEGRITY` for one that somebody else marked as deleted
 */
export async function purgeDeleted(
  scope: Scope,
  trx: Knex,
  before: Date | undefined,
  limit: number,
): Promise<PurgedSecrets> {
  const query = trx(scope.tables.secrets)
    .where({ tenant_id: scope.tenantId })
    .whereRaw('is_deleted')
    .orderBy(['deleted_at', 'id'])
    .limit(limit + 1)
    .forUpdate();
  if (before !== undefined) query.where('deleted_at', '<', before);
  const rows = asRows<SecretRow>(await query.select(...secretColumns(scope, trx)));
  const purged = rows.slice(0, limit);
  await verifyBindings(scope, trx, purged, [], 'skip-destroyed');
  if (purged.length > 0) await remove(scope, trx, purged);
  return { purged: purged.length, more: rows.length > limit };
}

async function remove(scope: Scope, trx: Knex, rows: readonly SecretRow[]): Promise<void> {
  const { tables, tenantId } = scope;
  const ids = rows.map(({ id }) => id);
  await trx(tables.versions).where({ tenant_id: tenantId }).whereIn('secret_id', ids).delete();
  await trx(tables.secrets).where({ tenant_id: tenantId }).whereIn('id', ids).delete();
  const changes = rows.map(({ id, name, current_version: version }) => ({
    kind: 'purge' as const,
    secretId: id,
    name,
    version,
  }));
  await recordChanges(scope, trx, changes);
}
