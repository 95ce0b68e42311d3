import type { AuditSinkEntry } from '@keywright/envelope';

/** What the store did. */
export type AuditAction =
  | 'audit.export'
  | 'audit.forget-sink'
  | 'audit.list'
  | 'audit.prune'
  | 'audit.redact'
  | 'audit.seal'
  | 'root.retire'
  | 'root.rewrap'
  | 'root.rotate'
  | 'secret.delete'
  | 'secret.destroy'
  | 'secret.exists'
  | 'secret.get'
  | 'secret.list'
  | 'secret.merge'
  | 'secret.purge'
  | 'secret.rename'
  | 'secret.restore'
  | 'secret.rollback'
  | 'secret.save'
  | 'secret.search'
  | 'secret.update'
  | 'secret.versions'
  | 'tenant.reencrypt'
  | 'tenant.rewrap'
  | 'tenant.rotate'
  | 'tenant.shred'
  | 'tenant-key.create'
  | 'tenant-key.destroy'
  | 'tenant-key.disable'
  | 'tenant-key.enable'
  | 'tenant-key.retire';

/** One operation, as it goes into the log. */
export interface AuditEvent {
  readonly tenantId: string;
  readonly actor: string;
  readonly action: AuditAction;
  readonly outcome: 'success' | 'refused';
  readonly secretId?: string | undefined;
  readonly secretName?: string | undefined;
  readonly version?: number | undefined;
  /** Facts of the operation: an error's code, counts. Never personal, never a value. */
  readonly context?: Readonly<Record<string, string | number>> | undefined;
  /** Where the request came from, as the host says; erasable. */
  readonly request?: Readonly<Record<string, string>> | undefined;
}

/** One row of the log, as it is read back; its id is a UUIDv7, which sorts by time. */
export interface AuditEntry extends Omit<AuditSinkEntry, 'leafIndex' | 'tenantId'> {
  /** Where the request came from was recorded and has been erased since. */
  readonly requestErased: boolean;
  /** Whether the row has its place in the log's tree; until then its removal cannot be noticed. */
  readonly sealed: boolean;
  /** Whether the row is as the store wrote it, erasure apart. */
  readonly authentic: boolean;
}
