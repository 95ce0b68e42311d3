import type { KeyWrapper } from '@keywright/envelope';
import type { Knex } from 'knex';
import { SYSTEM_TENANT } from '../arguments.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import { asRow, asRows } from '../internal/rows.ts';
import { type BatchEnvironment, inBatches, writeBatch } from './batches.ts';
import { type KeyWork, type KeyWorkOptions, ProgressReport } from './progress.ts';
import { rewrapKeys } from './rewrap-keys.ts';
import { throwIfAborted } from './root-calls.ts';
import { holdRootKey, rootCandidate } from './root-keys.ts';
import { claimRotation, releaseRotation, retireRootKeys } from './rotation-guard.ts';
import { KEK_COLUMNS, type TenantKeyRow } from './tenant-keys.ts';

/** What a root rotation did. */
export interface RootRotation {
  /** The root key that every tenant key is under now. */
  readonly kid: string;
  /** Tenant keys that were rewrapped. */
  readonly rewrapped: number;
  /** Root keys that nothing is under any more: they may leave the keyring. */
  readonly retired: readonly string[];
  /** Of a dry run: tenant keys that are under another root key. */
  readonly pending?: number;
}

export interface RotateRootOptions extends KeyWorkOptions {}

interface RotationEnvironment extends BatchEnvironment {
  readonly root: KeyWrapper;
  readonly audit: AuditLog;
  readonly rootTimeoutMs: number;
}

/**
 * Puts every tenant key under the active root key. Values and data keys are not touched. Each batch is read and
 * rewrapped outside any transaction, checked by unwrapping, and written in a short one where the row is still as it was
 * read: it can run beside live traffic, be killed at any moment and be run again.
 */
export async function rotateRoot(env: RotationEnvironment, work: KeyWork): Promise<RootRotation> {
  const kid = env.root.activeKid;
  throwIfAborted(work.signal);
  const candidate = await rootCandidate(env.knex, env.tables, env.root, kid, env.rootTimeoutMs);
  const pending = await countPending(env, kid);
  if (work.dryRun) return { kid, rewrapped: 0, retired: [], pending };
  await writeBatch(env, async (trx) => {
    await holdRootKey(trx, env.tables, env.root, candidate, env.rootTimeoutMs);
    await claimRotation(trx, env.tables, kid);
  });
  try {
    return await rotateTo(env, work, kid, new ProgressReport(work, pending));
  } catch (error) {
    // Where this fails too, the claim gives way by itself.
    await writeBatch(env, (trx) => releaseRotation(trx, env.tables, kid)).catch(() => undefined);
    throw error;
  }
}

async function rotateTo(
  env: RotationEnvironment,
  work: KeyWork,
  kid: string,
  report: ProgressReport,
): Promise<RootRotation> {
  let rewrapped = 0;
  const retired = new Set<string>();
  for (let unfinished = true; unfinished; ) {
    rewrapped += await rotatePass(env, work, kid, report);
    unfinished = await writeBatch(env, async (trx) => {
      const end = await retireRootKeys(trx, env.tables, kid);
      for (const old of end.retired) retired.add(old);
      if (!end.unfinished) await recordEnd(env, trx, work.actor, { kid, rewrapped, retired: [...retired] });
      return end.unfinished;
    });
  }
  return { kid, rewrapped, retired: [...retired] };
}

async function recordEnd(env: RotationEnvironment, trx: Knex, actor: string, done: RootRotation): Promise<void> {
  await env.audit.record(trx, {
    tenantId: SYSTEM_TENANT,
    actor,
    action: 'root.rotate',
    outcome: 'success',
    context: { kid: done.kid, rewrapped: done.rewrapped, retired: done.retired.join(',') },
  });
}

interface Rewrapped {
  readonly rows: readonly TenantKeyRow[];
  readonly fresh: readonly Buffer[];
}

/** Goes once through the keys that are under another root key. Returns how many it has put under this one. */
async function rotatePass(
  env: RotationEnvironment,
  { actor, signal, batchRows }: KeyWork,
  kid: string,
  report: ProgressReport,
): Promise<number> {
  let sum = 0;
  const rewrap = { root: env.root, like: env.audit.key, kid, timeoutMs: env.rootTimeoutMs, signal };
  await inBatches<TenantKeyRow, Rewrapped>({
    signal,
    read: (after) => nextBatch(env, kid, after, batchRows),
    prepare: async (rows) => ({ rows, fresh: await rewrapKeys(rewrap, rows) }),
    write: async (ready) => {
      const updated = await writeBatch(env, (trx) => writeKeys(env, trx, actor, kid, ready));
      sum += updated;
      report.batch('tenant-keys', updated);
    },
  });
  return sum;
}

async function writeKeys(
  { dialect, tables, audit }: RotationEnvironment,
  trx: Knex,
  actor: string,
  kid: string,
  { rows, fresh }: Rewrapped,
): Promise<number> {
  await claimRotation(trx, tables, kid);
  const updated = await dialect.updateMany(trx, {
    table: tables.tenantKeys,
    where: {},
    key: [
      { column: 'tenant_id', kind: 'text', values: rows.map((row) => row.tenant_id) },
      { column: 'kek_id', kind: 'uuid', values: rows.map((row) => row.kek_id) },
    ],
    unchanged: [
      { column: 'root_kid', kind: 'text', values: rows.map((row) => row.root_kid) },
      { column: 'status', kind: 'text', values: rows.map((row) => row.status) },
    ],
    set: [
      { column: 'wrapped', kind: 'bytes', values: fresh },
      { column: 'root_kid', kind: 'text', values: rows.map(() => kid) },
    ],
    // whoever has one locked is about to take it out of use
    skipLocked: false,
  });
  await audit.record(trx, {
    tenantId: SYSTEM_TENANT,
    actor,
    action: 'root.rewrap',
    outcome: 'success',
    context: { kid, rewrapped: updated },
  });
  return updated;
}

async function countPending({ knex, tables }: RotationEnvironment, kid: string): Promise<number> {
  const row = asRow<{ pending: number | string }>(
    await knex(tables.tenantKeys)
      .whereNot({ root_kid: kid })
      .whereNot({ status: 'destroyed' })
      .count({ pending: '*' })
      .first(),
  );
  return Number(row?.pending ?? 0);
}

async function nextBatch(
  { knex, tables }: RotationEnvironment,
  kid: string,
  after: TenantKeyRow | undefined,
  limit: number,
): Promise<readonly TenantKeyRow[]> {
  const query = knex(tables.tenantKeys)
    .whereNot({ root_kid: kid })
    .whereNot({ status: 'destroyed' })
    .orderBy(['tenant_id', 'kek_id'])
    .limit(limit)
    .select(...KEK_COLUMNS);
  if (after !== undefined) query.whereRaw('(tenant_id, kek_id) > (?, ?)', [after.tenant_id, after.kek_id]);
  return asRows<TenantKeyRow>(await query);
}
