import { SecretsError } from '../errors.ts';
import { writeBatch } from './batches.ts';
import type { TenantWork } from './tenant-work.ts';

/** What became of the key that audit rows are authenticated with. */
export interface AuditKeyRotation {
  /** The key that this process writes audit rows with now. */
  readonly keyId: string;
  /** The one before; it goes on to authenticate what was written with it. */
  readonly previous: string;
}

/**
 * Gives the store a new key for audit rows. Rows stay as they are, under the key they were written with; processes that
 * are running go on with theirs until they are started again.
 */
export async function rotateAuditKey(work: TenantWork): Promise<AuditKeyRotation> {
  const { knex, tables, tenantKeys, tenantId, audit } = work;
  const prepared = await tenantKeys.prepare(knex, tenantId);
  const keyId = prepared.kek.activeKid;
  const previous = await writeBatch(work, async (trx) => {
    await work.hold(trx);
    const active = await tenantKeys.findActive(trx, tenantId);
    if (active === undefined) throw new SecretsError('ERR_SECRETS_KEY_UNAVAILABLE', { context: { tenantId } });
    await trx(tables.tenantKeys)
      .where({ tenant_id: tenantId, kek_id: active.kek_id })
      .update({ status: 'decrypt-only' });
    await tenantKeys.insert(trx, prepared);
    await work.record(trx, 'tenant-key.create', { key: keyId, previous: active.kek_id });
    return active.kek_id;
  });
  if (!knex.isTransaction) tenantKeys.remember(tenantId, prepared.kek);
  audit.useKey(prepared.kek);
  return { keyId, previous };
}
