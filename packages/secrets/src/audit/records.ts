import { asRows } from '../internal/rows.ts';
import type { AuditEnvironment } from './environment.ts';
import { Redactions } from './redactions.ts';
import { AUDIT_COLUMNS, type AuditRow } from './row.ts';
import { prunedBy } from './row-facts.ts';

/** What the log says of itself: which payloads were erased, and up to where it was pruned. */
export interface LogRecords {
  readonly redactions: Redactions;
  /** 0 where nothing was. */
  readonly pruned: number;
}

const BATCH = 1_000;

/** Which rows these are, as their index has it. */
export const RECORDS = "action in ('audit.prune', 'audit.redact')";

/** From the authentic `audit.redact` and `audit.prune` rows, sealed or not. */
export async function readRecords(env: AuditEnvironment): Promise<LogRecords> {
  const redactions = new Redactions();
  let pruned = 0;
  for (let after: Pick<AuditRow, 'tenant_id' | 'id'> | undefined; ; ) {
    const rows = await nextRecords(env, after);
    await env.keys.load(env.knex, rows);
    for (const row of rows) {
      if (!env.audit.isAuthentic(row)) continue;
      redactions.add(row);
      pruned = Math.max(pruned, prunedBy(row) ?? 0);
    }
    after = rows.at(-1);
    if (rows.length < BATCH) return { redactions, pruned };
  }
}

async function nextRecords(
  { knex, tables }: AuditEnvironment,
  after: Pick<AuditRow, 'tenant_id' | 'id'> | undefined,
): Promise<readonly AuditRow[]> {
  const query = knex(tables.auditLog).whereRaw(RECORDS).orderBy(['tenant_id', 'id']).limit(BATCH);
  if (after !== undefined) query.whereRaw('(tenant_id, id) > (?, ?)', [after.tenant_id, after.id]);
  return asRows<AuditRow>(await query.select(...AUDIT_COLUMNS));
}
