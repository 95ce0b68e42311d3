import type { Keyring } from '@keywright/envelope';
import { asRows } from '../internal/rows.ts';
import { eachInTurn, inBatches, writeAround } from './batches.ts';
import { rewrapDataKey } from './data-key.ts';
import type { KeyWork, ProgressReport } from './progress.ts';
import type { TenantWork } from './tenant-work.ts';

interface DataKeyRow {
  readonly secret_id: string;
  readonly version: number;
  readonly wrapped_dek: Buffer | null;
}

interface Rewrapped {
  readonly rows: readonly DataKeyRow[];
  readonly fresh: readonly (Buffer | null)[];
}

/** What one pass did. */
export interface Pass {
  readonly written: number;
  /** Rows that were locked or changed by others: to be looked at again. */
  readonly left: number;
}

/** Goes once through the versions under one key and puts their data keys under `to`. Values are not touched. */
export async function rewrapDataKeys(
  work: TenantWork,
  fromId: string,
  to: Keyring,
  options: KeyWork,
  report: ProgressReport,
): Promise<Pass> {
  const { signal, batchRows } = options;
  const pass = { written: 0, left: 0 };
  await inBatches<DataKeyRow, Rewrapped>({
    signal,
    read: (after) => nextBatch(work, fromId, after, batchRows),
    prepare: async (rows) => {
      const needing = rows.find((row) => row.wrapped_dek !== null);
      const from = needing === undefined ? undefined : await work.keyOf(fromId, needing.secret_id);
      // A destroyed version has nothing under the key, but its row names it.
      const rewrap = ({ secret_id, version, wrapped_dek }: DataKeyRow): Buffer | null =>
        wrapped_dek === null || from === undefined
          ? null
          : rewrapDataKey(from, to, { tenantId: work.tenantId, secretId: secret_id, version }, wrapped_dek);
      return { rows, fresh: await eachInTurn(rows, signal, rewrap) };
    },
    write: async (ready) => {
      const written = await writeDataKeys(work, fromId, to, ready);
      pass.written += written;
      pass.left += ready.rows.length - written;
      report.batch('data-keys', written);
    },
  });
  return pass;
}

async function writeDataKeys(
  work: TenantWork,
  fromId: string,
  to: Keyring,
  { rows, fresh }: Rewrapped,
): Promise<number> {
  return await writeAround(work, async (trx, skipLocked) => {
    await work.hold(trx);
    await work.holdKeys(trx, to, rows.some((row) => row.wrapped_dek !== null) ? [fromId] : []);
    const written = await work.dialect.updateMany(trx, {
      table: work.tables.versions,
      where: { tenant_id: work.tenantId, kek_id: fromId },
      key: [
        { column: 'secret_id', kind: 'uuid', values: rows.map((row) => row.secret_id) },
        { column: 'version', kind: 'integer', values: rows.map((row) => row.version) },
      ],
      // While the lease is held, nobody else puts another data key here; a version may be destroyed at any time.
      unchanged: [],
      keepNulls: ['wrapped_dek'],
      set: [
        { column: 'wrapped_dek', kind: 'bytes', values: fresh },
        { column: 'kek_id', kind: 'uuid', values: rows.map(() => to.activeKid) },
      ],
      skipLocked,
    });
    await work.record(trx, 'tenant.rewrap', { key: to.activeKid, dataKeys: written });
    return written;
  });
}

async function nextBatch(
  { knex, tables, tenantId }: TenantWork,
  kekId: string,
  after: DataKeyRow | undefined,
  limit: number,
): Promise<readonly DataKeyRow[]> {
  const query = knex(tables.versions)
    .where({ tenant_id: tenantId, kek_id: kekId })
    .orderBy(['secret_id', 'version'])
    .limit(limit)
    .select('secret_id', 'version', 'wrapped_dek');
  if (after !== undefined) query.whereRaw('(secret_id, version) > (?, ?)', [after.secret_id, after.version]);
  return asRows<DataKeyRow>(await query);
}
