import { isRedacted, Redactions } from './redactions.ts';
import type { AuditRow } from './row.ts';

/** Rows without their request, until the row comes that tells of it. */
export class PendingRedactions {
  readonly #redactions = new Redactions();
  #rows: Pick<AuditRow, 'tenant_id' | 'id' | 'secret_id' | 'at' | 'leaf_index'>[] = [];

  add(row: AuditRow): void {
    this.#redactions.add(row);
    if (!isRedacted(row) || this.#redactions.explains(row)) return;
    const { tenant_id, id, secret_id, at, leaf_index } = row;
    this.#rows.push({ tenant_id, id, secret_id, at, leaf_index });
  }

  unexplained(): readonly Pick<AuditRow, 'tenant_id' | 'id' | 'leaf_index'>[] {
    this.#rows = this.#rows.filter((row) => !this.#redactions.explains(row));
    return this.#rows;
  }
}
