import { SYSTEM_TENANT } from '../arguments.ts';
import { SecretsError } from '../errors.ts';
import { asRows } from '../internal/rows.ts';
import { lastCheckpoint } from './checkpoints.ts';
import type { AuditEnvironment } from './environment.ts';
import { exportRow } from './export-row.ts';
import { EXPORT_FORMAT, type ExportHeader } from './offline-export.ts';
import { RECORDS } from './records.ts';
import { AUDIT_COLUMNS, type AuditRow } from './row.ts';
import { orTampered } from './tampered.ts';
import { frontierOf } from './tree/nodes.ts';
import { readTree } from './tree/state.ts';
import { tileReader } from './tree/tiles.ts';

export interface ExportOptions {
  /** Who exports, for the audit row of the export. */
  readonly actor: string;
  /** First leaf: that of the last export's checkpoint, to get what came after it. @default the first that is left */
  readonly since?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

const BATCH = 1_000;
const MAX_ROUNDS = 3;

/**
 * The sealed log as lines of JSON: a header, one line a row in leaf order, the signed checkpoint. Read in batches as fast
 * as the lines are taken.
 *
 * @param seal seals what was written meanwhile, where this store can
 */
export async function* exportLog(
  env: AuditEnvironment,
  { actor, since, signal }: ExportOptions,
  seal: () => Promise<void>,
): AsyncGenerator<string, void, void> {
  await seal();
  const { size, pruned } = await readTree(env.knex, env.tables);
  const from = Math.max(since ?? 0, pruned);
  if (from > size) throw new SecretsError('ERR_SECRETS_NOT_FOUND', { context: { leafIndex: from } });
  const frontier = await orTampered(() => frontierOf(tileReader(env.knex, env.tables), from));
  await env.audit.record(env.knex, {
    tenantId: SYSTEM_TENANT,
    actor,
    action: 'audit.export',
    outcome: 'success',
    context: { since: from },
  });
  const header: ExportHeader = {
    format: EXPORT_FORMAT,
    since: from,
    pruned,
    frontier: frontier.map((hash) => Buffer.from(hash).toString('base64')),
  };
  yield `${JSON.stringify(header)}\n`;
  let next = from;
  for (let round = 1; ; round++) {
    const last = await lastCheckpoint(env);
    const end = last?.checkpoint.treeSize ?? 0;
    while (next < end) {
      if (signal?.aborted === true) throw new SecretsError('ERR_SECRETS_ABORTED');
      const to = Math.min(end, next + BATCH);
      const rows = await rowsFrom(env, next, to);
      // Nobody could tell what was pruned meanwhile from what somebody took out.
      if (rows.length < to - next && (await readTree(env.knex, env.tables)).pruned > next) {
        throw new SecretsError('ERR_SECRETS_DATABASE', { context: { leafIndex: next }, retryable: true });
      }
      for (const row of rows) yield `${JSON.stringify(exportRow(row))}\n`;
      next = to;
    }
    // What was erased while the rows were read is told of by a row that is to be in the export too.
    if (last === undefined || round === MAX_ROUNDS || !(await hasRecords(env, end))) {
      if (last !== undefined) yield `${JSON.stringify({ checkpoint: last.checkpoint.note })}\n`;
      return;
    }
    await seal();
  }
}

/** Whether something was erased or pruned that no row before this leaf tells of. */
async function hasRecords({ knex, tables }: AuditEnvironment, end: number): Promise<boolean> {
  const query = knex(tables.auditLog).whereRaw(RECORDS);
  query.where((later) => later.whereNull('leaf_index').orWhere('leaf_index', '>=', end));
  return (await query.first('id')) !== undefined;
}

async function rowsFrom({ knex, tables }: AuditEnvironment, from: number, to: number): Promise<readonly AuditRow[]> {
  return asRows<AuditRow>(
    await knex(tables.auditLog)
      .where('leaf_index', '>=', from)
      .where('leaf_index', '<', to)
      .orderBy('leaf_index')
      .select(...AUDIT_COLUMNS),
  );
}
