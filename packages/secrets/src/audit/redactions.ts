import { toMillis } from '../internal/time.ts';
import type { AuditRow } from './row.ts';
import { factsOf } from './row-facts.ts';

/** Which rows' payloads were erased on purpose: by their ids, of one secret, or older than some time. */
export type RedactionTarget =
  | { readonly rowIds: readonly string[] }
  | { readonly secretId: string; readonly until: number }
  | { readonly before: number };

interface TenantRedactions {
  readonly rows: Set<string>;
  /** Secret → last millisecond. */
  readonly secrets: Map<string, number>;
  before: number;
}

type Explained = Pick<AuditRow, 'tenant_id' | 'id' | 'secret_id' | 'at'>;

/** How a redaction is written into the context of its `audit.redact` row. */
export function redactionContext(target: RedactionTarget): Readonly<Record<string, string | number>> {
  if ('rowIds' in target) return { rows: target.rowIds.join(',') };
  if ('secretId' in target) return { secret: target.secretId, until: target.until };
  return { before: target.before };
}

/** The redactions that `audit.redact` rows tell of. */
export class Redactions {
  readonly #tenants = new Map<string, TenantRedactions>();

  /** Precondition: the row is trusted. One that is about something else is passed over. */
  add({ tenant_id: tenantId, action, outcome, context }: AuditRow): void {
    if (action !== 'audit.redact' || outcome !== 'success') return;
    const { rows, secret, until, before } = factsOf(context);
    const known = this.#tenants.get(tenantId) ?? { rows: new Set(), secrets: new Map(), before: -Infinity };
    this.#tenants.set(tenantId, known);
    if (typeof rows === 'string') for (const id of rows.split(',')) known.rows.add(id);
    if (typeof secret === 'string' && typeof until === 'number') {
      known.secrets.set(secret, Math.max(until, known.secrets.get(secret) ?? -Infinity));
    }
    if (typeof before === 'number') known.before = Math.max(before, known.before);
  }

  /** Whether the payload of this row was to be erased. */
  explains({ tenant_id: tenantId, id, secret_id: secretId, at }: Explained): boolean {
    const known = this.#tenants.get(tenantId);
    if (known === undefined) return false;
    const time = toMillis(at);
    return (
      known.rows.has(id) || time < known.before || (secretId !== null && time <= (known.secrets.get(secretId) ?? -1))
    );
  }
}

/** Whether a row had a payload that is gone. */
export function isRedacted({ payload, payload_hash: hash }: Pick<AuditRow, 'payload' | 'payload_hash'>): boolean {
  return payload === null && hash !== null;
}
