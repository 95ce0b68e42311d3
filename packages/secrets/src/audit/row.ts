import type { Timestamp } from '../internal/time.ts';

/** A row of `secret_audit_log` as a driver returns it. */
export interface AuditRow {
  readonly tenant_id: string;
  readonly id: string;
  readonly at: Timestamp;
  readonly actor: string;
  readonly action: string;
  readonly secret_id: string | null;
  readonly secret_name: string | null;
  readonly version: number | null;
  readonly outcome: 'success' | 'refused';
  readonly context: string;
  readonly payload: Buffer | null;
  readonly salt: Buffer | null;
  /** Of salt and payload; stays when they are erased. */
  readonly payload_hash: Buffer | null;
  readonly mac: Buffer;
  /** Place in the tree; null until it is sealed. PostgreSQL's driver returns a bigint as text. */
  readonly leaf_index: number | string | null;
}

/** A row that is about to be written. */
export type NewAuditRow = Omit<AuditRow, 'at' | 'leaf_index'> & { readonly at: Date };

export const AUDIT_COLUMNS = [
  'tenant_id',
  'id',
  'at',
  'actor',
  'action',
  'secret_id',
  'secret_name',
  'version',
  'outcome',
  'context',
  'payload',
  'salt',
  'payload_hash',
  'mac',
  'leaf_index',
] as const;
