import { toMillis } from '../internal/time.ts';
import { decodeBase64 } from './note.ts';
import type { AuditRow } from './row.ts';

/** One row of the log as it is exported: what its leaf is made of, and the request, as it was stored. */
export interface AuditExportRow {
  readonly leaf: number;
  readonly tenantId: string;
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly actor: string;
  readonly action: string;
  readonly secretId: string | null;
  readonly secretName: string | null;
  readonly version: number | null;
  readonly outcome: 'success' | 'refused';
  /** JSON text, as it was hashed. */
  readonly context: string;
  /** Base64 of the JSON text that says where the request came from; null where there was none or it was erased. */
  readonly payload: string | null;
  readonly salt: string | null;
  /** Base64 of SHA-256(salt ‖ payload). */
  readonly payloadHash: string | null;
  /** Base64. Only the store can check it; it is part of the leaf. */
  readonly mac: string;
}

/** @param row one that has a leaf */
export function exportRow(row: AuditRow): AuditExportRow {
  return {
    leaf: Number(row.leaf_index),
    tenantId: row.tenant_id,
    id: row.id,
    at: toMillis(row.at),
    actor: row.actor,
    action: row.action,
    secretId: row.secret_id,
    secretName: row.secret_name,
    version: row.version,
    outcome: row.outcome,
    context: row.context,
    payload: base64(row.payload),
    salt: base64(row.salt),
    payloadHash: base64(row.payload_hash),
    mac: base64(row.mac) ?? '',
  };
}

/** The row, or `undefined` for what is not an exported one. */
export function importRow(given: unknown): AuditRow | undefined {
  if (typeof given !== 'object' || given === null) return undefined;
  const row = given as Record<keyof AuditExportRow, unknown>;
  const [payload, salt, hash, mac] = [row.payload, row.salt, row.payloadHash, row.mac].map(bytes);
  const texts = [row.tenantId, row.id, row.actor, row.action, row.context];
  const orNull = [row.secretId, row.secretName];
  if (!isCount(row.leaf) || !Number.isSafeInteger(row.at) || !texts.every(isText)) return undefined;
  if (!orNull.every((text) => text === null || isText(text))) return undefined;
  if (row.version !== null && !Number.isSafeInteger(row.version)) return undefined;
  if (row.outcome !== 'success' && row.outcome !== 'refused') return undefined;
  if (payload === undefined || salt === undefined || hash === undefined || mac === undefined || mac === null) {
    return undefined;
  }
  return {
    tenant_id: row.tenantId as string,
    id: row.id as string,
    at: row.at as number,
    actor: row.actor as string,
    action: row.action as string,
    secret_id: row.secretId as string | null,
    secret_name: row.secretName as string | null,
    version: row.version as number | null,
    outcome: row.outcome,
    context: row.context as string,
    payload,
    salt,
    payload_hash: hash,
    mac,
    leaf_index: row.leaf,
  };
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.isWellFormed();
}

/** What somebody put where bytes belong is exported as none: it fits no hash either. */
function base64(value: unknown): string | null {
  return value === null ? null : value instanceof Uint8Array ? Buffer.from(value).toString('base64') : '';
}

/** `undefined` for what is neither canonical base64 nor null. */
function bytes(value: unknown): Buffer | null | undefined {
  return value === null ? null : typeof value === 'string' ? decodeBase64(value) : undefined;
}
