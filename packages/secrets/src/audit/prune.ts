import type { Knex } from 'knex';
import { SYSTEM_TENANT } from '../arguments.ts';
import { SecretsError } from '../errors.ts';
import type { Lease } from '../internal/lease.ts';
import { asRow, asRows } from '../internal/rows.ts';
import { toMillis } from '../internal/time.ts';
import { atomically } from '../internal/transactions.ts';
import { lastCheckpoint } from './checkpoints.ts';
import type { AuditEnvironment } from './environment.ts';
import { Findings } from './finding.ts';
import { readRecords } from './records.ts';
import type { AuditRow } from './row.ts';
import { orTampered } from './tampered.ts';
import { consistencyPath, TILE_WIDTH } from './tree/nodes.ts';
import { provesConsistency } from './tree/proofs.ts';
import { lockTree, readTree, writeTree } from './tree/state.ts';
import { tileReader } from './tree/tiles.ts';
import { LeafCheck } from './verify-leaves.ts';
import { RowJudge } from './verify-rows.ts';

/** What was removed. */
export interface AuditPruning {
  /** Rows that were removed. */
  readonly pruned: number;
  /** First leaf that is left. */
  readonly from: number;
}

export interface PruneTarget {
  readonly retentionDays: number;
  readonly actor: string;
  readonly signal: AbortSignal | undefined;
}

const DAY_MS = 24 * 60 * 60_000;
const MAX_LEVEL = 6;
const BATCH = 10_000;

/**
 * Removes the sealed rows from the start of the log up to the first that is young enough, or that a sink has not been
 * given. They are compared with the tree first: nobody gets rid of a row by making it look old.
 *
 * Precondition: the log was just sealed, under this lease.
 */
export async function pruneLog(env: AuditEnvironment, lease: Lease, target: PruneTarget): Promise<AuditPruning> {
  const { size, pruned } = await readTree(env.knex, env.tables);
  const before = Date.now() - target.retentionDays * DAY_MS;
  const end = Math.min(await firstYoung(env, pruned, size, before), await firstNotGiven(env, size));
  if (end <= pruned) return { pruned: 0, from: pruned };
  await checkIntact(env, { from: pruned, to: end }, target.signal);
  await atomically(env.knex, env.dialect, env.tables, async (trx) => {
    await lease.hold(trx);
    const tree = await lockTree(trx, env.tables);
    // A sink may have been added, the tree may have been pruned by hand.
    if (tree.pruned !== pruned || (await firstNotGiven({ ...env, knex: trx }, end)) < end) {
      throw new SecretsError('ERR_SECRETS_DATABASE', { retryable: true });
    }
    const removed = await trx(env.tables.auditLog).where('leaf_index', '<', end).delete();
    if (removed !== end - pruned) throw new SecretsError('ERR_SECRETS_AUDIT_TAMPERED', { context: { leafIndex: end } });
    await writeTree(trx, env.tables, { size: tree.size, pruned: end });
    await removeHashes(env, trx, end);
    await env.audit.record(trx, {
      tenantId: SYSTEM_TENANT,
      actor: target.actor,
      action: 'audit.prune',
      outcome: 'success',
      context: { from: pruned, pruned: end, before },
    });
  });
  return { pruned: end - pruned, from: end };
}

/** The first leaf of a row that is not old enough. */
async function firstYoung(env: AuditEnvironment, pruned: number, size: number, before: number): Promise<number> {
  for (let first = pruned; first < size; first += BATCH) {
    const rows = asRows<Pick<AuditRow, 'at' | 'leaf_index'>>(
      await env
        .knex(env.tables.auditLog)
        .where('leaf_index', '>=', first)
        .where('leaf_index', '<', Math.min(size, first + BATCH))
        .orderBy('leaf_index')
        .select('at', 'leaf_index'),
    );
    const young = rows.find(({ at }) => !(toMillis(at) < before));
    if (young !== undefined) return Number(young.leaf_index);
  }
  return size;
}

/** The first leaf that a sink is still to be given. */
async function firstNotGiven(
  { knex, tables }: Pick<AuditEnvironment, 'knex' | 'tables'>,
  end: number,
): Promise<number> {
  const row = asRow<{ next: number | string | null }>(await knex(tables.auditSinks).min({ next: 'next_leaf' }).first());
  return Math.min(end, Number(row?.next ?? end));
}

/** @throws SecretsError `ERR_SECRETS_AUDIT_TAMPERED` */
async function checkIntact(
  env: AuditEnvironment,
  range: { readonly from: number; readonly to: number },
  signal: AbortSignal | undefined,
): Promise<void> {
  const findings = new Findings();
  const judge = new RowJudge(env, findings, await readRecords(env));
  const root = await new LeafCheck(env, findings, judge, []).run(range, undefined, signal);
  // The rows fit the leaves that are stored; these have to be what was signed.
  if (root !== undefined) await checkSigned(env, { oldSize: range.to, oldRoot: root });
  // What was forged before it was sealed was reported then, and is the same row now: it may go.
  const bad = findings.kept.find(({ reason }) => reason !== 'forged');
  if (bad === undefined) return;
  const { leafIndex = range.from, rowId } = bad;
  const context = rowId === undefined ? { leafIndex } : { leafIndex, rowId };
  throw new SecretsError('ERR_SECRETS_AUDIT_TAMPERED', { context });
}

/** @throws SecretsError `ERR_SECRETS_AUDIT_TAMPERED` where the last checkpoint's tree does not begin with this one */
async function checkSigned(
  env: AuditEnvironment,
  begin: { readonly oldSize: number; readonly oldRoot: Uint8Array },
): Promise<void> {
  const last = await lastCheckpoint(env);
  const { treeSize: newSize = 0 } = last?.checkpoint ?? {};
  if (last !== undefined && begin.oldSize <= newSize) {
    const path = await orTampered(() => consistencyPath(tileReader(env.knex, env.tables), begin.oldSize, newSize));
    if (provesConsistency({ ...begin, newSize, newRoot: last.root }, path)) return;
  }
  throw new SecretsError('ERR_SECRETS_AUDIT_TAMPERED', { context: { table: 'leaves', leafIndex: begin.oldSize } });
}

/** Tiles that end within the pruned range; the tree that is left is proved by those above and after them. */
async function removeHashes({ tables }: AuditEnvironment, trx: Knex, end: number): Promise<void> {
  let width = TILE_WIDTH;
  for (let level = 0; level < MAX_LEVEL && width <= end; level++) {
    await trx(tables.auditLeaves)
      .where({ level })
      .where('tile', '<', Math.floor(end / width))
      .delete();
    width *= TILE_WIDTH;
  }
  await trx(tables.auditCheckpoints).where('tree_size', '<', end).delete();
}
