import { isEscape, isRefused, type Operation } from './operations.ts';

/** A row of the audit log that names the operation it is of. */
export interface OperationRow {
  readonly operation: string;
  readonly action: string;
  readonly outcome: string;
  readonly secretId: string | null;
  readonly version: number | null;
}

/**
 * Where operations and audit rows differ, a sentence each: an operation that was acknowledged or refused has one row that
 * says so, of the version it made; one that failed otherwise has none; there are no others.
 */
export function auditProblems(operations: readonly Operation[], rows: readonly OperationRow[]): string[] {
  const problems: string[] = [];
  const byOperation = new Map<string, OperationRow[]>();
  for (const row of rows) {
    const own = byOperation.get(row.operation);
    if (own === undefined) byOperation.set(row.operation, [row]);
    else own.push(row);
  }
  for (const operation of operations) {
    const own = byOperation.get(operation.id) ?? [];
    byOperation.delete(operation.id);
    problems.push(...problemOf(operation, own));
  }
  for (const operation of byOperation.keys())
    problems.push(`an audit row is of operation ${operation}, which nobody did`);
  return problems;
}

function problemOf({ id, action, outcome }: Operation, rows: readonly OperationRow[]): string[] {
  const expected = outcome.kind === 'done' ? 'success' : 'refused';
  // Reported as what it is; the store may well have audited it as refused.
  if (isEscape(outcome)) return [];
  if (outcome.kind === 'error' && !isRefused(outcome))
    return rows.length === 0 ? [] : [`${id} failed and has ${rows.length} audit rows`];
  const row = rows[0];
  if (row === undefined || rows.length > 1) return [`${id} has ${rows.length} audit rows`];
  if (row.action !== action || row.outcome !== expected) {
    return [`${id} was ${action}, ${expected}, and is audited as ${row.action}, ${row.outcome}`];
  }
  if (outcome.kind !== 'done' || outcome.done.version === undefined) return [];
  const { secretId, version } = outcome.done;
  return row.version === version && row.secretId === secretId
    ? []
    : [`${id} is audited with another version or secret`];
}
