import { AuditLog } from './audit/audit-log.ts';
import { AuditWriter } from './audit/audit-writer.ts';
import type { Connections } from './connections.ts';
import { SecretReader } from './operations/get/secret-reader.ts';
import { SecretWriter } from './operations/save/secret-writer.ts';
import type { SecretStoreOptions } from './options.ts';
import type { Tables } from './tables.ts';

/** Parts of a store that write audit rows, and those that read and save together with them. */
export interface AuditParts {
  readonly audit: AuditLog;
  readonly auditWriter: AuditWriter;
  /** Whether reads are audited that succeed. */
  readonly auditReads: boolean;
  readonly reader: SecretReader;
  readonly writer: SecretWriter;
}

export function auditParts(
  options: SecretStoreOptions,
  place: { readonly connections: Connections; readonly tables: Tables },
): AuditParts {
  const audit = new AuditLog(place.tables);
  const auditReads = options.audit?.reads !== 'unaudited';
  const parts = {
    ...place,
    audit,
    auditReads,
    preparedStatements: options.preparedStatements ?? true,
    telemetry: options.telemetry,
  };
  return {
    audit,
    auditWriter: new AuditWriter(parts),
    auditReads,
    reader: new SecretReader(parts),
    writer: new SecretWriter(parts),
  };
}
