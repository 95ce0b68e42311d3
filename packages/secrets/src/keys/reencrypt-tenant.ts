import { setTimeout as sleep } from 'node:timers/promises';
import type { Keyring } from '@keywright/envelope';
import type { Knex } from 'knex';
import { SecretsError } from '../errors.ts';
import { asRow, asRows } from '../internal/rows.ts';
import { eachInTurn, inBatches, writeAround, writeBatch } from './batches.ts';
import { resealVersion, type SealedVersion } from './data-key.ts';
import { type KeyWork, type KeyWorkOptions, ProgressReport } from './progress.ts';
import { throwIfAborted } from './root-calls.ts';
import type { Reencryption, TenantWork } from './tenant-work.ts';

/** What a re-encryption did. */
export interface Reencrypted {
  readonly tenantId: string;
  /** Versions that have another data key and another ciphertext now. */
  readonly versions: number;
  /** Of a dry run: versions that there are to encrypt anew. */
  readonly pending?: number;
}

export interface ReencryptTenantOptions extends KeyWorkOptions {}

interface Position {
  readonly secret_id: string;
  readonly version: number;
}

interface SealedRow extends Position {
  readonly kek_id: string;
  readonly wrapped_dek: Buffer;
  readonly ciphertext: Buffer;
}

interface Resealed {
  readonly rows: readonly SealedRow[];
  readonly fresh: readonly SealedVersion[];
}

interface Writing {
  readonly to: Keyring;
  readonly batch: Resealed;
  readonly finished: Reencryption;
  readonly skipLocked: boolean;
}

// Ciphertext that is in memory at once, for each of the two batches under way.
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
const POLL_MS = 100;
const MAX_UUID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/**
 * Gives every version of a tenant a fresh data key and encrypts its value anew under it: what a leaked data key opened
 * is opened by it no more. Values pass through this process's memory, nowhere else.
 */
export async function reencryptTenant(work: TenantWork, options: KeyWork): Promise<Reencrypted> {
  const { signal, batchRows } = options;
  const { tenantId } = work;
  throwIfAborted(signal);
  const from = await begin(work);
  const pending = await countFrom(work, from);
  if (options.dryRun) return { tenantId, versions: 0, pending };
  const kek = await activeKey(work);
  const report = new ProgressReport(options, pending);
  let versions = 0;
  let finished = from;
  await writeBatch(work, (trx) => work.hold(trx, { reencrypting: finished }));
  await inBatches<SealedRow, Resealed>({
    signal,
    read: (after) =>
      nextBatch(work, after ?? { secret_id: from.secretId, version: from.version }, from.until, batchRows),
    prepare: async (rows) => ({ rows, fresh: await eachInTurn(rows, signal, (row) => reseal(work, kek, row)) }),
    write: async (ready) => {
      // The place where another call goes on is behind the last batch that is done as a whole.
      const written = await writeVersions(work, kek, ready, finished, signal);
      const last = ready.rows.at(-1) as SealedRow;
      finished = { secretId: last.secret_id, version: last.version, until: from.until };
      versions += written;
      report.batch('values', written);
    },
  });
  await writeBatch(work, async (trx) => {
    await work.hold(trx, { reencrypting: undefined });
    await work.record(trx, 'tenant.reencrypt', { key: kek.activeKid, versions });
  });
  return { tenantId, versions };
}

/** Where to go on, or all secrets that there are now: later ones have fresh data keys. */
async function begin({ knex, tables, tenantId, unfinished }: TenantWork): Promise<Reencryption> {
  if (unfinished.reencrypting !== undefined) return unfinished.reencrypting;
  const last = asRow<{ id: string }>(
    await knex(tables.secrets).where({ tenant_id: tenantId }).orderBy('id', 'desc').first('id'),
  );
  return { secretId: '00000000-0000-0000-0000-000000000000', version: 0, until: last?.id ?? MAX_UUID };
}

async function activeKey(work: TenantWork): Promise<Keyring> {
  const { knex, tenantKeys, tenantId } = work;
  const row = await tenantKeys.findActive(knex, tenantId);
  if (row !== undefined) return await tenantKeys.unwrap(knex, row);
  const any = await tenantKeys.hasAny(knex, tenantId);
  throw new SecretsError(any ? 'ERR_SECRETS_KEY_UNAVAILABLE' : 'ERR_SECRETS_NOT_FOUND', { context: { tenantId } });
}

async function reseal(work: TenantWork, to: Keyring, row: SealedRow): Promise<SealedVersion> {
  const at = { tenantId: work.tenantId, secretId: row.secret_id, version: row.version };
  const sealed = { wrappedDek: row.wrapped_dek, ciphertext: row.ciphertext };
  return resealVersion(await work.keyOf(row.kek_id, row.secret_id), to, at, sealed);
}

/** Writes until every row of the batch is written, or was changed by somebody else. */
async function writeVersions(
  work: TenantWork,
  to: Keyring,
  batch: Resealed,
  finished: Reencryption,
  signal: AbortSignal | undefined,
): Promise<number> {
  let written = 0;
  for (let left = batch; ; ) {
    written += await writeAround(work, (trx, skipLocked) =>
      writeOnce(work, trx, { to, batch: left, finished, skipLocked }),
    );
    left = await unwritten(work, left);
    if (left.rows.length === 0) return written;
    await sleep(POLL_MS);
    throwIfAborted(signal);
  }
}

async function writeOnce(
  work: TenantWork,
  trx: Knex,
  { to, batch: { rows, fresh }, finished, skipLocked }: Writing,
): Promise<number> {
  const { tenantId } = work;
  await work.hold(trx, { reencrypting: finished });
  await work.holdKeys(
    trx,
    to,
    rows.map((row) => row.kek_id),
  );
  const written = await work.dialect.updateMany(trx, {
    table: work.tables.versions,
    where: { tenant_id: tenantId },
    key: [
      { column: 'secret_id', kind: 'uuid', values: rows.map((row) => row.secret_id) },
      { column: 'version', kind: 'integer', values: rows.map((row) => row.version) },
    ],
    unchanged: [{ column: 'wrapped_dek', kind: 'bytes', values: rows.map((row) => row.wrapped_dek) }],
    set: [
      { column: 'wrapped_dek', kind: 'bytes', values: fresh.map((sealed) => sealed.wrappedDek) },
      { column: 'ciphertext', kind: 'bytes', values: fresh.map((sealed) => sealed.ciphertext) },
      { column: 'kek_id', kind: 'uuid', values: rows.map(() => to.activeKid) },
    ],
    skipLocked,
  });
  await work.record(trx, 'tenant.reencrypt', { key: to.activeKid, versions: written, part: 'batch' });
  return written;
}

/** Rows that are still as they were read: they were locked. */
async function unwritten({ knex, tables, tenantId }: TenantWork, { rows, fresh }: Resealed): Promise<Resealed> {
  const [first, last] = [rows[0] as SealedRow, rows.at(-1) as SealedRow];
  const now = asRows<Position & { readonly wrapped_dek: Buffer | null }>(
    await knex(tables.versions)
      .where({ tenant_id: tenantId })
      .whereRaw('(secret_id, version) >= (?, ?)', [first.secret_id, first.version])
      .whereRaw('(secret_id, version) <= (?, ?)', [last.secret_id, last.version])
      .select('secret_id', 'version', 'wrapped_dek'),
  );
  const present = new Map(now.map((row) => [`${row.secret_id} ${row.version}`, row.wrapped_dek]));
  const kept = [...rows.keys()].filter((index) => {
    const row = rows[index] as SealedRow;
    return present.get(`${row.secret_id} ${row.version}`)?.equals(row.wrapped_dek) === true;
  });
  return {
    rows: kept.map((index) => rows[index] as SealedRow),
    fresh: kept.map((index) => fresh[index] as SealedVersion),
  };
}

async function nextBatch(
  work: TenantWork,
  after: Position,
  until: string,
  limit: number,
): Promise<readonly SealedRow[]> {
  const sizes = asRows<Position & { readonly bytes: number | string }>(
    await versionsAfter(work, after, until)
      .orderBy(['secret_id', 'version'])
      .limit(limit)
      .select('secret_id', 'version', work.knex.raw('length(ciphertext) as bytes')),
  );
  let bytes = 0;
  let end: Position | undefined;
  for (const row of sizes) {
    bytes += Number(row.bytes);
    if (end !== undefined && bytes > MAX_BATCH_BYTES) break;
    end = row;
  }
  if (end === undefined) return [];
  return asRows<SealedRow>(
    await versionsAfter(work, after, until)
      .whereRaw('(secret_id, version) <= (?, ?)', [end.secret_id, end.version])
      .orderBy(['secret_id', 'version'])
      .select('secret_id', 'version', 'kek_id', 'wrapped_dek', 'ciphertext'),
  );
}

function versionsAfter({ knex, tables, tenantId }: TenantWork, after: Position, until: string): Knex.QueryBuilder {
  return knex(tables.versions)
    .where({ tenant_id: tenantId })
    .whereRaw('(secret_id, version) > (?, ?)', [after.secret_id, after.version])
    .where('secret_id', '<=', until)
    .whereNotNull('wrapped_dek')
    .whereNotNull('ciphertext');
}

async function countFrom(work: TenantWork, from: Reencryption): Promise<number> {
  const query = versionsAfter(work, { secret_id: from.secretId, version: from.version }, from.until);
  const row = asRow<{ rows: number | string }>(await query.count({ rows: '*' }).first());
  return Number(row?.rows ?? 0);
}
