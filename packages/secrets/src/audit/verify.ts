import { isKeywrightError } from '@keywright/envelope';
import { SecretsError } from '../errors.ts';
import { asRows } from '../internal/rows.ts';
import { toMillis } from '../internal/time.ts';
import { type AuditCheckpoint, openCheckpoint } from './checkpoint.ts';
import { lastCheckpointRow, type TrustedCheckpoint, trusted } from './checkpoints.ts';
import type { AuditEnvironment } from './environment.ts';
import { type AuditDamage, Findings } from './finding.ts';
import { readRecords } from './records.ts';
import { AUDIT_COLUMNS, type AuditRow } from './row.ts';
import { consistencyPath, MissingHashes } from './tree/nodes.ts';
import { provesConsistency } from './tree/proofs.ts';
import { readTree, type TreeState } from './tree/state.ts';
import { tileReader } from './tree/tiles.ts';
import { LEAVES_PER_STEP, LeafCheck } from './verify-leaves.ts';
import { RowJudge } from './verify-rows.ts';

export interface VerifyOptions {
  /** First leaf to look at; those before it are covered by the signed root alone. @default the first that is left */
  readonly from?: number | undefined;
  /** A checkpoint that was exported earlier: the log must still begin with it. @default none */
  readonly checkpoint?: string | undefined;
  /** Called after every 2,048 leaves with the number of sealed rows looked at so far. */
  readonly onProgress?: ((rows: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What was looked at. */
export interface VerifiedRange {
  /** Leaves `from` up to, and not including, `to`. */
  readonly verified: { readonly from: number; readonly to: number };
  /** Leaves before this one were removed by `prune()`. */
  readonly pruned: number;
  /** Committed rows without a leaf. Their MACs were checked; that one is missing cannot be seen. */
  readonly unsealed: number;
  /** When the first of these was written; undefined where there are none. */
  readonly unsealedSince: Date | undefined;
  /** Rows whose request was erased on purpose. */
  readonly redacted: number;
  /** The last signed checkpoint; undefined before the first. */
  readonly checkpoint: AuditCheckpoint | undefined;
}

/** Whether the log is what was written: intact, or what is wrong with it. */
export type AuditVerification = VerifiedRange & ({ readonly intact: true } | AuditDamage);

const MAX_ROUNDS = 3;

/**
 * Reads the whole log and compares it with its MACs, its tree and the signed checkpoints. Runs beside live traffic and
 * holds no snapshot open; its memory does not grow with the log.
 */
export async function verifyLog(env: AuditEnvironment, options: VerifyOptions): Promise<AuditVerification> {
  for (let round = 1; ; round++) {
    const result = await verifyOnce(env, options);
    if (result.intact || round === MAX_ROUNDS) return result;
    // What was pruned while it was looked at is not missing.
    if ((await treeOf(env, new Findings())).pruned === result.pruned) return result;
  }
}

async function verifyOnce(env: AuditEnvironment, options: VerifyOptions): Promise<AuditVerification> {
  const findings = new Findings();
  // Before the tree's size: the sealer may go on meanwhile.
  const last = await lastOf(env, findings);
  const exported = exportedOf(env, options.checkpoint, findings);
  const tree = await treeOf(env, findings);
  const records = await readRecords(env);
  if (records.pruned !== tree.pruned) findings.add({ reason: 'pruned', leafIndex: tree.pruned });
  const from = Math.min(Math.max(options.from ?? 0, tree.pruned), tree.size);
  const known = [last, exported].filter((one) => one !== undefined);
  for (const { checkpoint } of known) {
    if (checkpoint.treeSize > tree.size) {
      findings.add({ reason: 'missing', leafIndex: tree.size, treeSize: checkpoint.treeSize });
    }
  }
  const judge = new RowJudge(env, findings, records);
  const leaves = new LeafCheck(env, findings, judge, known);
  const root = await leaves.run({ from, to: tree.size }, options.onProgress, options.signal);
  for (const one of known) await compareEarlier(env, findings, one, { ...tree, from, root });
  await findStrangers(env, judge);
  const unsealed = await checkUnsealed(env, judge, options.signal);
  return {
    ...findings.outcome(),
    verified: { from, to: tree.size },
    pruned: tree.pruned,
    ...unsealed,
    redacted: judge.redacted,
    checkpoint: last?.checkpoint,
  };
}

async function lastOf(env: AuditEnvironment, findings: Findings): Promise<TrustedCheckpoint | undefined> {
  const row = await lastCheckpointRow(env.knex, env);
  if (row === undefined) return undefined;
  const found = trusted(env, row);
  if (found === undefined) findings.add({ reason: 'checkpoint', treeSize: Number(row.tree_size) });
  return found;
}

function exportedOf(
  env: AuditEnvironment,
  note: string | undefined,
  findings: Findings,
): TrustedCheckpoint | undefined {
  if (note === undefined) return undefined;
  const opened = openCheckpoint(note, env.noteKeys);
  if (opened.valid) return opened;
  findings.add({ reason: 'checkpoint' });
  return undefined;
}

/** An empty one where what is stored is no state of a tree. */
async function treeOf({ knex, tables }: AuditEnvironment, findings: Findings): Promise<TreeState> {
  try {
    return await readTree(knex, tables);
  } catch (error) {
    if (!isKeywrightError(error) || error.code !== 'ERR_SECRETS_AUDIT_TAMPERED') throw error;
    findings.add({ reason: 'tree' });
    return { size: 0, pruned: 0 };
  }
}

/** A checkpoint of a tree that ends before the leaves that were looked at. */
async function compareEarlier(
  { knex, tables }: AuditEnvironment,
  findings: Findings,
  { checkpoint: { treeSize }, root: oldRoot }: TrustedCheckpoint,
  { size, pruned, from, root }: TreeState & { readonly from: number; readonly root: Uint8Array | undefined },
): Promise<void> {
  if (treeSize >= from || root === undefined) return;
  // Hashes of pruned leaves are gone: an export from before the pruning can still be compared.
  if (treeSize < pruned) {
    findings.add({ reason: 'pruned', treeSize });
    return;
  }
  try {
    const path = await consistencyPath(tileReader(knex, tables), treeSize, size);
    if (provesConsistency({ oldSize: treeSize, oldRoot, newSize: size, newRoot: root }, path)) return;
  } catch (error) {
    if (!(error instanceof MissingHashes)) throw error;
  }
  findings.add({ reason: 'tree', treeSize });
}

/** Rows that claim a leaf outside of the tree. The bound is read in the same statement: the sealer may be at work. */
async function findStrangers({ knex, tables }: AuditEnvironment, judge: RowJudge): Promise<void> {
  for (const [compared, column] of [
    ['<', 'pruned'],
    ['>=', 'size'],
  ] as const) {
    const bound = knex.raw('coalesce((?), 0)', [knex(tables.auditTree).where({ id: 1 }).select(column)]);
    const rows = asRows<AuditRow>(
      await knex(tables.auditLog)
        .where('leaf_index', compared, bound)
        .orderBy('leaf_index')
        .limit(LEAVES_PER_STEP)
        .select(...AUDIT_COLUMNS),
    );
    for (const row of rows) judge.find('inserted', row);
  }
}

async function checkUnsealed(
  { knex, tables }: AuditEnvironment,
  judge: RowJudge,
  signal: AbortSignal | undefined,
): Promise<Pick<VerifiedRange, 'unsealed' | 'unsealedSince'>> {
  let unsealed = 0;
  let since: number | undefined;
  for (let after: AuditRow | undefined; ; ) {
    if (signal?.aborted === true) throw new SecretsError('ERR_SECRETS_ABORTED');
    const query = knex(tables.auditLog).whereNull('leaf_index').orderBy(['id', 'tenant_id']).limit(LEAVES_PER_STEP);
    if (after !== undefined) query.whereRaw('(id, tenant_id) > (?, ?)', [after.id, after.tenant_id]);
    const rows = asRows<AuditRow>(await query.select(...AUDIT_COLUMNS));
    await judge.judge(rows);
    unsealed += rows.length;
    const [first] = rows;
    if (first !== undefined) since ??= toMillis(first.at);
    after = rows.at(-1);
    if (rows.length < LEAVES_PER_STEP) break;
  }
  return { unsealed, unsealedSince: since === undefined ? undefined : new Date(since) };
}
