import type { Keyring } from '@keywright/envelope';
import { type BoundFacts, bindingKekId, bindingMatches, makeBinding } from '../binding.ts';
import { SecretsError } from '../errors.ts';
import { kidBytes } from '../internal/keyed-mac.ts';
import { asRows } from '../internal/rows.ts';
import { type Timestamp, toMillis } from '../internal/time.ts';
import { eachInTurn, inBatches, writeAround } from './batches.ts';
import type { KeyWork, ProgressReport } from './progress.ts';
import type { Pass } from './rewrap-data-keys.ts';
import type { TenantWork } from './tenant-work.ts';

interface BoundRow {
  readonly id: string;
  readonly name: string;
  readonly current_version: number;
  readonly expires_at: Timestamp | null;
  readonly is_deleted: boolean | number;
  readonly binding: Buffer;
}

interface Rebound {
  readonly rows: readonly BoundRow[];
  readonly fresh: readonly Buffer[];
}

/**
 * Goes once through the secrets whose binding is under another key, checks each and makes it under `to`. A secret that
 * was changed meanwhile is left alone.
 */
export async function rebind(work: TenantWork, to: Keyring, options: KeyWork, report: ProgressReport): Promise<Pass> {
  const { signal, batchRows } = options;
  const pass = { written: 0, left: 0 };
  await inBatches<BoundRow, Rebound>({
    signal,
    read: (after) => nextBatch(work, to.activeKid, after, batchRows),
    prepare: async (rows) => ({ rows, fresh: await eachInTurn(rows, signal, (row) => bound(work, to, row)) }),
    write: async ({ rows, fresh }) => {
      const written = await writeBindings(work, to, { rows, fresh });
      pass.written += written;
      pass.left += rows.length - written;
      report.batch('bindings', written);
    },
  });
  return pass;
}

async function bound(work: TenantWork, to: Keyring, row: BoundRow): Promise<Buffer> {
  const facts: BoundFacts = {
    tenantId: work.tenantId,
    id: row.id,
    name: row.name,
    currentVersion: row.current_version,
    expiresAt: row.expires_at === null ? null : toMillis(row.expires_at),
    isDeleted: Boolean(row.is_deleted),
  };
  const kekId = bindingKekId(row.binding);
  if (kekId !== undefined && bindingMatches(await work.keyOf(kekId, row.id), row.binding, facts))
    return makeBinding(to, facts);
  throw new SecretsError('ERR_SECRETS_INTEGRITY', { context: { tenantId: work.tenantId, secretId: row.id } });
}

async function writeBindings(work: TenantWork, to: Keyring, { rows, fresh }: Rebound): Promise<number> {
  return await writeAround(work, async (trx, skipLocked) => {
    await work.hold(trx);
    await work.holdKeys(
      trx,
      to,
      rows.flatMap((row) => bindingKekId(row.binding) ?? []),
    );
    const written = await work.dialect.updateMany(trx, {
      table: work.tables.secrets,
      where: { tenant_id: work.tenantId },
      key: [{ column: 'id', kind: 'uuid', values: rows.map((row) => row.id) }],
      unchanged: [{ column: 'binding', kind: 'bytes', values: rows.map((row) => row.binding) }],
      set: [{ column: 'binding', kind: 'bytes', values: fresh }],
      skipLocked,
    });
    await work.record(trx, 'tenant.rewrap', { key: to.activeKid, bindings: written });
    return written;
  });
}

async function nextBatch(
  { knex, tables, tenantId }: TenantWork,
  kekId: string,
  after: BoundRow | undefined,
  limit: number,
): Promise<readonly BoundRow[]> {
  const query = knex(tables.secrets)
    .where({ tenant_id: tenantId })
    .whereRaw('substr(binding, 1, 16) <> ?', [kidBytes(kekId)])
    .orderBy('id')
    .limit(limit)
    .select('id', 'name', 'current_version', 'expires_at', 'is_deleted', 'binding');
  if (after !== undefined) query.where('id', '>', after.id);
  return asRows<BoundRow>(await query);
}
