import { payloadMatches } from './canonical.ts';
import type { AuditEnvironment } from './environment.ts';
import type { AuditFindingReason, Findings } from './finding.ts';
import { type LogRecords, readRecords } from './records.ts';
import { isRedacted } from './redactions.ts';
import type { AuditRow } from './row.ts';

/** Judges rows by what is in them: who wrote them, and whether what is gone was to go. */
export class RowJudge {
  redacted = 0;
  readonly #env: AuditEnvironment;
  readonly #findings: Findings;
  #records: LogRecords;

  constructor(env: AuditEnvironment, findings: Findings, records: LogRecords) {
    this.#env = env;
    this.#findings = findings;
    this.#records = records;
  }

  async judge(rows: readonly AuditRow[]): Promise<void> {
    await this.#env.keys.load(this.#env.knex, rows);
    const suspects: AuditRow[] = [];
    for (const row of rows) {
      const reason = this.#reasonOf(row);
      if (reason === 'redacted') suspects.push(row);
      else if (reason !== undefined) this.find(reason, row);
    }
    if (suspects.length === 0) return;
    // They may have been redacted since the records were read.
    this.#records = await readRecords(this.#env);
    for (const row of suspects) if (this.#reasonOf(row) !== undefined) this.find('redacted', row);
  }

  find(reason: AuditFindingReason, row: AuditRow): void {
    const leafIndex = row.leaf_index === null ? undefined : Number(row.leaf_index);
    this.#findings.add({ reason, leafIndex, tenantId: row.tenant_id, rowId: row.id });
  }

  #reasonOf(row: AuditRow): AuditFindingReason | undefined {
    // SQLite keeps a time that is text, and takes it for later than every number.
    if (this.#env.dialect.name === 'sqlite' && typeof row.at !== 'number') return 'edited';
    if (!payloadMatches(row)) return 'payload';
    if (!this.#env.audit.isAuthentic(row)) return 'forged';
    if (!isRedacted(row)) return undefined;
    if (!this.#records.redactions.explains(row)) return 'redacted';
    this.redacted++;
    return undefined;
  }
}
