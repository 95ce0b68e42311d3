import type { Knex } from 'knex';
import { SecretsError } from '../errors.ts';
import type { WritePlan } from './plan.ts';
import { recordChange } from './record-change.ts';
import type { Scope } from './scope.ts';

/** What a save or another change of a secret left behind. */
export interface SavedSecret {
  readonly id: string;
  readonly name: string;
  /** The version that is current now. */
  readonly version: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export function savedSecret({ id, name, version, createdAt, updatedAt }: WritePlan): SavedSecret {
  return { id, name, version, createdAt, updatedAt };
}

/**
 * Carries a plan out, one statement after the other, in a transaction. Whether it could: the secret may have been made
 * or changed since it was looked at.
 *
 * @throws SecretsError `ERR_SECRETS_INTEGRITY`, `ERR_SECRETS_ALREADY_EXISTS` for a new name that is taken
 */
export async function write(scope: Scope, trx: Knex, plan: WritePlan): Promise<boolean> {
  const written = plan.was === undefined ? await insertSecret(scope, trx, plan) : await updateSecret(scope, trx, plan);
  if (!written) return false;
  if (plan.sealed !== undefined) await insertVersion(scope, trx, plan);
  if (plan.removeTo > 0) {
    await trx(scope.tables.versions)
      .where({ tenant_id: scope.tenantId, secret_id: plan.id })
      .where('version', '<=', plan.removeTo)
      .delete();
  }
  const { kind, id, name, previousName, version } = plan;
  await recordChange(scope, trx, { kind, secretId: id, name, previousName, version });
  return true;
}

async function insertSecret(scope: Scope, trx: Knex, plan: WritePlan): Promise<boolean> {
  const inserted = (await trx(scope.tables.secrets)
    .insert(plan.columns)
    .onConflict(trx.raw('(tenant_id, name) where not is_deleted'))
    .ignore()
    .returning('id')) as readonly unknown[];
  return inserted.length > 0;
}

async function updateSecret(scope: Scope, trx: Knex, plan: WritePlan): Promise<boolean> {
  try {
    const changed = await trx(scope.tables.secrets)
      .where({ tenant_id: scope.tenantId, id: plan.id, binding: plan.was })
      .update(plan.columns);
    return changed > 0;
  } catch (error) {
    if (plan.previousName === undefined || !scope.connections.dialect.isUniqueViolation(error)) throw error;
    throw nameTaken(scope);
  }
}

async function insertVersion(scope: Scope, trx: Knex, plan: WritePlan): Promise<void> {
  const { id, version, sealed } = plan;
  const inserted = (await trx(scope.tables.versions)
    .insert({
      tenant_id: scope.tenantId,
      secret_id: id,
      version,
      kek_id: plan.kekId,
      wrapped_dek: sealed?.wrappedDek,
      ciphertext: sealed?.ciphertext,
      created_at: plan.updatedAt,
      created_by: scope.actor,
    })
    .onConflict(['tenant_id', 'secret_id', 'version'])
    .ignore()
    .returning('version')) as readonly unknown[];
  // The next version is there already: the secret's row is an older one that somebody put back.
  if (inserted.length === 0) throw integrity(scope, plan);
}

export function integrity(scope: Scope, { id, version }: WritePlan): SecretsError {
  return new SecretsError('ERR_SECRETS_INTEGRITY', { context: { tenantId: scope.tenantId, secretId: id, version } });
}

export function nameTaken(scope: Scope): SecretsError {
  return new SecretsError('ERR_SECRETS_ALREADY_EXISTS', { context: { tenantId: scope.tenantId } });
}
