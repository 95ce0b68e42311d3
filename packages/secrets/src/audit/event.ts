/** What the store did. */
export type AuditAction =
  | 'audit.list'
  | 'root.rewrap'
  | 'root.rotate'
  | 'secret.delete'
  | 'secret.exists'
  | 'secret.get'
  | 'secret.list'
  | 'secret.save'
  | 'secret.update'
  | 'secret.versions'
  | 'tenant-key.create';

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

/** One row of the log, as it is read back. */
export interface AuditEntry {
  /** UUIDv7: sorts by time. */
  readonly id: string;
  readonly at: Date;
  readonly actor: string;
  readonly action: string;
  readonly outcome: 'success' | 'refused';
  readonly secretId: string | null;
  readonly secretName: string | null;
  readonly version: number | null;
  readonly context: Readonly<Record<string, string | number>>;
  readonly request: Readonly<Record<string, string | number>>;
  /** Where the request came from was recorded and has been erased since. */
  readonly requestErased: boolean;
  /** Whether the row is as the store wrote it, erasure apart. */
  readonly authentic: boolean;
}
