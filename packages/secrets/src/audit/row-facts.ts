import { SYSTEM_TENANT } from '../arguments.ts';
import type { AuditRow } from './row.ts';

/** Where a pruned range ends, if this row tells of one. */
export function prunedBy({ tenant_id: tenantId, action, outcome, context }: AuditRow): number | undefined {
  if (action !== 'audit.prune' || outcome !== 'success' || tenantId !== SYSTEM_TENANT) return undefined;
  const { pruned } = factsOf(context);
  return typeof pruned === 'number' ? pruned : undefined;
}

/** A row that the sealer did not find authentic, if this row tells of one. */
export function forgedBy(row: AuditRow): { readonly tenantId?: string; readonly rowId?: string } | undefined {
  if (row.action !== 'audit.seal' || row.outcome !== 'refused' || row.tenant_id !== SYSTEM_TENANT) return undefined;
  const { tenant, row: rowId } = factsOf(row.context);
  return typeof tenant === 'string' && typeof rowId === 'string' ? { tenantId: tenant, rowId } : {};
}

/** The facts in a row's context; none where it was edited into something else. */
export function factsOf(context: string): Readonly<Record<string, unknown>> {
  try {
    const facts: unknown = JSON.parse(context);
    return typeof facts === 'object' && facts !== null ? (facts as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
