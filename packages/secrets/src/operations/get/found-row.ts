import type { Fields } from '../../dialects/statement.ts';
import type { TenantKeyRow } from '../../keys/tenant-keys.ts';
import type { SecretRow } from '../rows.ts';

/** A living secret, one version of it and the state of its tenant key, as they were read together. */
export interface FoundRow extends SecretRow, Pick<TenantKeyRow, 'tenant_id' | 'kek_id' | 'status'> {
  readonly version: number;
  readonly wrapped_dek: Buffer;
  readonly ciphertext: Buffer;
}

// Of PostgreSQL's older format for bytes: two backslashes for one, three octal digits for what is not ASCII.
const ESCAPED = /\\(?:\\|[0-7]{3})/g;

/** What a get statement says of one secret. */
export interface Answer {
  /** Which one was asked for, from 0. */
  readonly index: number;
  /** `undefined` where it is not readable. */
  readonly row: FoundRow | undefined;
}

/** Reads a row of a get statement: the order is that of its columns. */
export function answerOf(tenantId: (index: number) => string, fields: Fields): Answer {
  const [n, readable, id, name, authType, description, metadata, tags, currentVersion, binding, casRequired] = fields;
  const [, , , , , , , , , , , maxVersions, expiresAt, createdAt, updatedAt, createdBy, version] = fields;
  const [, , , , , , , , , , , , , , , , , wrappedDek, ciphertext, kekId, status] = fields;
  const index = Number(n) - 1;
  if (!isTrue(readable)) return { index, row: undefined };
  const row = {
    id: id as string,
    name: name as string,
    auth_type: authType ?? null,
    description: description ?? null,
    metadata: metadata as string,
    tags: tags ?? null,
    current_version: Number(currentVersion),
    binding: bytes(binding),
    cas_required: isTrue(casRequired),
    max_versions: numberOrNull(maxVersions),
    expires_at: expiresAt === null || expiresAt === undefined ? null : millis(expiresAt),
    is_deleted: false,
    deleted_at: null,
    created_at: millis(createdAt),
    updated_at: millis(updatedAt),
    created_by: createdBy ?? null,
    version: Number(version),
    wrapped_dek: bytes(wrappedDek),
    ciphertext: bytes(ciphertext),
    tenant_id: tenantId(index),
    kek_id: kekId as string,
    status: status as TenantKeyRow['status'],
  };
  return { index, row };
}

type Field = string | number | boolean | null | undefined;

// A driver that parses fields in spite of what it is asked gives numbers and booleans of its own.

function isTrue(field: Field): boolean {
  return field === 't' || field === true;
}

function numberOrNull(field: Field): number | null {
  return field === null || field === undefined ? null : Number(field);
}

function millis(seconds: Field): number {
  return Math.round(Number(seconds) * 1000);
}

/** A bytea, in either of the two formats that `bytea_output` has. */
function bytes(field: string | null | undefined): Buffer {
  const text = field as string;
  if (text.startsWith('\\x')) return Buffer.from(text.slice(2), 'hex');
  return Buffer.from(text.replace(ESCAPED, unescaped), 'latin1');
}

function unescaped(text: string): string {
  return text === '\\\\' ? '\\' : String.fromCharCode(Number.parseInt(text.slice(1), 8));
}
