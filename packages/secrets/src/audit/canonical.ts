import { hash, timingSafeEqual } from 'node:crypto';
import type { KeyedMac, Keyring } from '@keywright/envelope';
import { packMac, unpackMac } from '../internal/keyed-mac.ts';
import { toMillis } from '../internal/time.ts';
import type { AuditRow } from './row.ts';

/** What of a row is authenticated. */
export type AuditFacts = Omit<AuditRow, 'payload' | 'salt' | 'mac' | 'leaf_index'>;

/** What the database may know before the store does: a read and its audit row are one statement. */
export type AuditTail = Pick<AuditFacts, 'secret_id' | 'secret_name' | 'version'>;

const ROW_KEY_PURPOSE = 'secrets.audit-row';
const NULL_FIELD = Buffer.alloc(4, 0xff);
// Not of the column's type. SQLite keeps bytes where text belongs, and finds them by no text.
const FOREIGN_FIELD = Buffer.of(0xff, 0xff, 0xff, 0xfe);
const LEAF_PREFIX = Buffer.of(0);
const BLOCK_BYTES = 64;
const HASH_BYTES = 32;

/**
 * One encoding of a row, for its MAC and its leaf. Fields in a fixed order, each `BE32(byte length) ‖ bytes`, or
 * `FF FF FF FF` for null; text as UTF-8, the time as decimal milliseconds since 1970. The tail comes last, because SQL
 * may have to write it: `int4send(octet_length(x)) || x`.
 */
export function canonicalRow(row: AuditFacts): Buffer {
  return Buffer.concat([canonicalHead(row), canonicalTail(row)]);
}

export function canonicalHead(row: Omit<AuditFacts, keyof AuditTail>): Buffer {
  return encode([
    text(row.tenant_id),
    text(row.id),
    isBytes(row.at) ? undefined : String(toMillis(row.at)),
    text(row.actor),
    text(row.action),
    text(row.outcome),
    text(row.context),
    bytes(row.payload_hash),
  ]);
}

export function canonicalTail({ secret_id, secret_name, version }: AuditTail): Buffer {
  return encode([
    text(secret_id),
    text(secret_name),
    version === null ? null : isBytes(version) ? undefined : String(version),
  ]);
}

/**
 * The key that one row is authenticated with. Each row has its own, so that SQL can be lent it to authenticate that row
 * and no other.
 */
export function rowKey(auditKey: Keyring, tenantId: string, rowId: string): KeyedMac {
  return auditKey.mac(ROW_KEY_PURPOSE, [tenantId, rowId]);
}

/** HMAC-SHA-256 of the canonical row under its row key, in column form. */
export function rowMac({ kid, mac: key }: KeyedMac, canonical: Uint8Array): Buffer {
  return packMac({ kid, mac: hmac(key, canonical) });
}

/** The two padded keys of HMAC-SHA-256 (RFC 2104), for `sha256(outer || sha256(inner || message))` in SQL. */
export function hmacPads(key: Uint8Array): { readonly inner: Buffer; readonly outer: Buffer } {
  const inner = Buffer.alloc(BLOCK_BYTES, 0x36);
  const outer = Buffer.alloc(BLOCK_BYTES, 0x5c);
  for (let index = 0; index < key.length; index++) {
    const byte = key[index] as number;
    inner[index] = byte ^ 0x36;
    outer[index] = byte ^ 0x5c;
  }
  return { inner, outer };
}

/** Id of the key that a row says it was authenticated with; `undefined` for bytes that are no MAC. */
export function auditKeyId(row: Pick<AuditRow, 'mac'>): string | undefined {
  return unpackMac(row.mac)?.kid;
}

/** Whether a row is as it was written, erasure apart. `auditKey` must be the one that {@link auditKeyId} names. */
export function isAuthentic(auditKey: Keyring, row: AuditRow, canonical: Uint8Array = canonicalRow(row)): boolean {
  const expected = hmac(rowKey(auditKey, row.tenant_id, row.id).mac, canonical);
  // The key's id before it is what the key was found by.
  const { mac } = unpackMac(row.mac) ?? {};
  return payloadMatches(row) && mac?.byteLength === expected.byteLength && timingSafeEqual(expected, mac);
}

/** Payload and salt are both as they were hashed, or both gone: by erasure, or because there never were any. */
export function payloadMatches({ payload, salt, payload_hash: hashed }: AuditRow): boolean {
  if (payload === null && salt === null) return true;
  return isBytes(payload) && isBytes(salt) && isBytes(hashed) && payloadHash(salt, payload).equals(hashed);
}

export function payloadHash(salt: Uint8Array, payload: Uint8Array): Buffer {
  return sha256(salt, payload);
}

/** Leaf of the log's tree (RFC 6962, section 2.1): `SHA-256(00 ‖ canonical row ‖ MAC)`. Erasure does not change it. */
export function leafHash(row: AuditFacts & Pick<AuditRow, 'mac'>, canonical: Uint8Array = canonicalRow(row)): Buffer {
  return sha256(LEAF_PREFIX, canonical, encode([bytes(row.mac)]));
}

/** HMAC-SHA-256 by its two hashes (RFC 2104): importing a key that is used once takes several times as long as both. */
function hmac(key: Uint8Array, message: Uint8Array): Buffer {
  const inner = Buffer.allocUnsafe(BLOCK_BYTES + message.byteLength).fill(0x36, 0, BLOCK_BYTES);
  const outer = Buffer.allocUnsafe(BLOCK_BYTES + HASH_BYTES).fill(0x5c, 0, BLOCK_BYTES);
  for (let index = 0; index < key.byteLength; index++) {
    const byte = key[index] ?? 0;
    inner[index] = byte ^ 0x36;
    outer[index] = byte ^ 0x5c;
  }
  inner.set(message, BLOCK_BYTES);
  outer.set(hash('sha256', inner, 'buffer'), BLOCK_BYTES);
  return hash('sha256', outer, 'buffer');
}

function sha256(...parts: readonly Uint8Array[]): Buffer {
  return hash('sha256', Buffer.concat(parts), 'buffer');
}

/** @param fields `undefined` for one that is foreign to its column */
function encode(fields: readonly (string | Uint8Array | null | undefined)[]): Buffer {
  let length = 0;
  for (const field of fields) length += 4 + byteLength(field);
  const out = Buffer.allocUnsafe(length);
  let at = 0;
  for (const field of fields) {
    if (field === null || field === undefined) {
      out.set(field === null ? NULL_FIELD : FOREIGN_FIELD, at);
      at += 4;
      continue;
    }
    const size = byteLength(field);
    at = out.writeUInt32BE(size, at);
    if (typeof field === 'string') out.write(field, at, 'utf8');
    else out.set(field, at);
    at += size;
  }
  return out;
}

function byteLength(field: string | Uint8Array | null | undefined): number {
  return typeof field === 'string' ? Buffer.byteLength(field) : (field?.byteLength ?? 0);
}

function text(value: unknown): string | null | undefined {
  return value === null || typeof value === 'string' ? value : undefined;
}

function bytes(value: unknown): Uint8Array | null | undefined {
  return value === null || isBytes(value) ? value : undefined;
}

function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array;
}
