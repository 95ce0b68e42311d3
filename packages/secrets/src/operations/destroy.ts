import type { Knex } from 'knex';
import { asRows } from '../internal/rows.ts';
import type { Located } from '../locator.ts';
import { requireLiving } from './find.ts';
import { notBefore } from './plan.ts';
import { recordChanges } from './record-change.ts';
import { notFound, type SecretRow } from './rows.ts';
import type { Scope } from './scope.ts';

/**
 * Destroys values of versions, and the keys they were encrypted under. Their rows stay and say when that was. What was
 * destroyed before stays as it was.
 *
 * @throws SecretsError `ERR_SECRETS_NOT_FOUND` for a secret or a version that is not there, `ERR_SECRETS_INTEGRITY`
 */
export async function destroyVersions(
  scope: Scope,
  trx: Knex,
  at: Located,
  versions: readonly number[],
): Promise<SecretRow> {
  const { tables, tenantId } = scope;
  const row = await requireLiving(scope, trx, at, { lock: true });
  const those = (): Knex.QueryBuilder =>
    trx(tables.versions).where({ tenant_id: tenantId, secret_id: row.id }).whereIn('version', versions);
  const there = asRows<{ version: number; destroyed_at: unknown }>(await those().select('version', 'destroyed_at'));
  if (there.length < versions.length) throw notFound(scope);
  await those()
    .whereNull('destroyed_at')
    .update({ wrapped_dek: null, ciphertext: null, destroyed_at: notBefore(row) });
  const { id: secretId, name } = row;
  const destroyed = there.filter(({ destroyed_at: before }) => before === null);
  await recordChanges(
    scope,
    trx,
    destroyed.map(({ version }) => ({ kind: 'destroy', secretId, name, version })),
  );
  return row;
}
