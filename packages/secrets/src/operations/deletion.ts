import type { Knex } from 'knex';
import { makeBinding } from '../binding.ts';
import { toMillis } from '../internal/time.ts';
import type { Located } from '../locator.ts';
import { checkCondition } from './conditions.ts';
import { findDeleted, findLiving, requireLiving } from './find.ts';
import { notBefore } from './plan.ts';
import { recordChange } from './record-change.ts';
import { factsOf, notFound, type SecretRow, verifyBindings } from './rows.ts';
import { activeKek, type Scope } from './scope.ts';
import { nameTaken, type SavedSecret } from './write.ts';

/**
 * Marks a secret as deleted. Its name is free again; its versions stay until they are purged.
 *
 * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_VERSION_CONFLICT`, `ERR_SECRETS_CAS_REQUIRED`,
 * `ERR_SECRETS_INTEGRITY`
 */
export async function deleteSecret(
  scope: Scope,
  trx: Knex,
  at: Located,
  expected: number | undefined,
): Promise<SecretRow> {
  const kek = await activeKek(scope, trx, 'find');
  const row = await requireLiving(scope, trx, at, { lock: true, atHand: [kek] });
  checkCondition(scope, row, expected);
  const now = notBefore(row);
  await trx(scope.tables.secrets)
    .where({ tenant_id: scope.tenantId, id: row.id })
    .update({
      is_deleted: true,
      deleted_at: now,
      updated_at: now,
      binding: makeBinding(kek, { ...factsOf(scope, row), isDeleted: true }),
    });
  await recordChange(scope, trx, { kind: 'delete', secretId: row.id, name: row.name, version: row.current_version });
  return row;
}

/**
 * Brings a deleted secret back under its name.
 * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_ALREADY_EXISTS`, `ERR_SECRETS_INTEGRITY`
 */
export async function restoreSecret(scope: Scope, trx: Knex, at: Located): Promise<SavedSecret> {
  const kek = await activeKek(scope, trx, 'find');
  const row = await findDeleted(scope, trx, at);
  const living = await findLiving(scope, trx, row === undefined ? at : { name: row.name }, { atHand: [kek] });
  if (living !== undefined) throw nameTaken(scope);
  if (row === undefined) throw notFound(scope);
  await verifyBindings(scope, trx, [row], [kek]);
  const updatedAt = notBefore(row);
  try {
    await trx(scope.tables.secrets)
      .where({ tenant_id: scope.tenantId, id: row.id })
      .update({
        is_deleted: false,
        deleted_at: null,
        updated_at: updatedAt,
        binding: makeBinding(kek, { ...factsOf(scope, row), isDeleted: false }),
      });
  } catch (error) {
    // another transaction took the name since it was looked for
    throw scope.connections.dialect.isUniqueViolation(error) ? nameTaken(scope) : error;
  }
  await recordChange(scope, trx, { kind: 'restore', secretId: row.id, name: row.name, version: row.current_version });
  const createdAt = new Date(toMillis(row.created_at));
  return { id: row.id, name: row.name, version: row.current_version, createdAt, updatedAt };
}

/**
 * Checks that a secret may take a name.
 * @throws SecretsError `ERR_SECRETS_ALREADY_EXISTS`, `ERR_SECRETS_INTEGRITY`
 */
export async function requireFree(scope: Scope, trx: Knex, name: string, by: SecretRow): Promise<void> {
  const living = await findLiving(scope, trx, { name });
  if (living !== undefined && living.id !== by.id) throw nameTaken(scope);
}
