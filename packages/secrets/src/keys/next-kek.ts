import { setTimeout as sleep } from 'node:timers/promises';
import type { Keyring } from '@keywright/envelope';
import { SecretsError } from '../errors.ts';
import { asRows } from '../internal/rows.ts';
import { writeBatch } from './batches.ts';
import { throwIfAborted } from './root-calls.ts';
import type { TenantWork } from './tenant-work.ts';

const POLL_MS = 100;

/**
 * The key that a tenant's rotation goes to: a new one, which everything is written with from here on, or that of a
 * rotation that did not come to its end.
 *
 * @throws SecretsError `ERR_SECRETS_NOT_FOUND` for a tenant without keys, `ERR_SECRETS_KEY_UNAVAILABLE` for one whose
 * keys are all destroyed
 */
export async function nextKek(work: TenantWork): Promise<Keyring> {
  const { knex, tables, tenantKeys, tenantId, unfinished } = work;
  const rows = await tenantKeys.all(knex, tenantId);
  const active = rows.find(({ status }) => status === 'active');
  if (active !== undefined && active.kek_id === unfinished.rotatingTo) return await tenantKeys.unwrap(knex, active);
  if (rows.length === 0) throw new SecretsError('ERR_SECRETS_NOT_FOUND', { context: { tenantId } });
  // A shredded tenant stays shredded.
  if (rows.every(({ status }) => status === 'destroyed')) {
    throw new SecretsError('ERR_SECRETS_KEY_UNAVAILABLE', { context: { tenantId, state: 'destroyed' } });
  }
  const prepared = await tenantKeys.prepare(knex, tenantId);
  const kekId = prepared.kek.activeKid;
  await writeBatch(work, async (trx) => {
    await work.hold(trx, { rotatingTo: kekId });
    await trx(tables.tenantKeys).where({ tenant_id: tenantId, status: 'active' }).update({ status: 'decrypt-only' });
    const { made } = await tenantKeys.insert(trx, prepared);
    // The tenant had none to write with, and somebody has enabled one meanwhile.
    if (!made) throw new SecretsError('ERR_SECRETS_DATABASE', { context: { tenantId }, retryable: true });
    await work.record(trx, 'tenant-key.create', { key: kekId });
  });
  if (!knex.isTransaction) tenantKeys.remember(tenantId, prepared.kek);
  return prepared.kek;
}

/**
 * Waits until nobody writes under the tenant's older keys any more: transactions that took one while it was active hold
 * its row until they end. After that nothing more comes under them. Takes no lock that anybody would wait for.
 */
export async function awaitWriters(work: TenantWork, kekId: string, signal: AbortSignal | undefined): Promise<void> {
  const { dialect, tables, tenantId } = work;
  // A single writer has waited for all others by writing.
  if (!dialect.concurrentWriters) return;
  const rows = await work.tenantKeys.all(work.knex, tenantId);
  const older = new Set(
    rows.filter((row) => row.kek_id !== kekId && row.status !== 'destroyed').map((row) => row.kek_id),
  );
  while (older.size > 0) {
    throwIfAborted(signal);
    const free = await writeBatch(work, async (trx) => {
      await work.hold(trx);
      return asRows<{ kek_id: string }>(
        await trx(tables.tenantKeys)
          .where({ tenant_id: tenantId })
          .whereIn('kek_id', [...older])
          .forUpdate()
          .skipLocked()
          .select('kek_id'),
      );
    });
    for (const row of free) older.delete(row.kek_id);
    if (older.size > 0) await sleep(POLL_MS);
  }
}
