import { createHash, randomBytes } from 'node:crypto';
import type { Keyring } from '@keywright/envelope';
import type { Knex } from 'knex';
import { v7 as uuidv7 } from 'uuid';
import { packMac, unpackMac } from '../internal/keyed-mac.ts';
import { asRows } from '../internal/rows.ts';
import { type Timestamp, toMillis } from '../internal/time.ts';
import type { Keyset } from '../pagination.ts';
import type { Tables } from '../tables.ts';
import type { AuditEntry, AuditEvent } from './event.ts';

const PURPOSE = 'secrets.audit';
const SALT_BYTES = 16;

interface AuditRow {
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
}

/**
 * The audit log: one row per operation, each under a MAC, never a value. What can be personal (the request's address,
 * user agent …) goes into `payload`, which the MAC covers only through a salted hash that is stored beside it, so that
 * it can be erased without breaking the row.
 */
export class AuditLog {
  readonly #tables: Tables;
  #key: Keyring | undefined;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** Sets the key of the store's own tenant, under whose subkey rows are authenticated. */
  useKey(key: Keyring): void {
    this.#key = key;
  }

  /** Writes one row. It is committed with whatever `db` commits. */
  async record(db: Knex, event: AuditEvent): Promise<void> {
    await db(this.#tables.auditLog).insert(this.#row(event));
  }

  /** Whether anything was ever written. */
  async hasRows(db: Knex): Promise<boolean> {
    return (await db(this.#tables.auditLog).first('id')) !== undefined;
  }

  /** Newest first; one more than the limit, for `pageOf`. Every row's MAC is checked. */
  async list(db: Knex, tenantId: string, { limit, after }: Keyset): Promise<readonly AuditEntry[]> {
    const query = db(this.#tables.auditLog)
      .where({ tenant_id: tenantId })
      .orderBy('id', 'desc')
      .limit(limit + 1);
    if (after !== undefined) query.where('id', '<', after);
    const rows = asRows<AuditRow>(await query.select('*'));
    return rows.map((row) => ({
      id: row.id,
      at: new Date(toMillis(row.at)),
      actor: row.actor,
      action: row.action,
      secretId: row.secret_id,
      secretName: row.secret_name,
      version: row.version,
      outcome: row.outcome,
      context: parseObject(row.context),
      request: parseObject(row.payload?.toString('utf8') ?? '{}'),
      requestErased: row.payload === null && row.payload_hash !== null,
      authentic: this.#authentic(row),
    }));
  }

  #row(event: AuditEvent): AuditRow {
    const payload = event.request === undefined ? null : Buffer.from(JSON.stringify(event.request));
    const salt = payload === null ? null : randomBytes(SALT_BYTES);
    const row = {
      tenant_id: event.tenantId,
      id: uuidv7(),
      at: new Date(),
      actor: event.actor,
      action: event.action,
      secret_id: event.secretId ?? null,
      secret_name: event.secretName ?? null,
      version: event.version ?? null,
      outcome: event.outcome,
      context: JSON.stringify(event.context ?? {}),
      payload,
      salt,
      payload_hash: payload === null || salt === null ? null : hashOf(salt, payload),
    };
    return { ...row, mac: packMac(this.#keyring().mac(PURPOSE, macParts(row))) };
  }

  #authentic(row: AuditRow): boolean {
    if (!payloadMatches(row)) return false;
    const keyed = unpackMac(row.mac);
    const key = this.#keyring();
    // A MAC under a key that the store does not hold is a forgery as far as it can tell.
    return keyed !== undefined && key.kids.includes(keyed.kid) && key.verifyMac(PURPOSE, macParts(row), keyed);
  }

  #keyring(): Keyring {
    if (this.#key === undefined) throw new TypeError('The audit log was used before the store was ready.');
    return this.#key;
  }
}

function macParts(row: Omit<AuditRow, 'mac'>): readonly (string | Uint8Array)[] {
  return [
    row.tenant_id,
    row.id,
    String(toMillis(row.at)),
    row.actor,
    row.action,
    row.secret_id ?? '',
    row.secret_name ?? '',
    row.version === null ? '' : String(row.version),
    row.outcome,
    row.context,
    row.payload_hash ?? new Uint8Array(0),
  ];
}

/** Payload and salt are both as they were hashed, or both gone: by erasure, or because there never were any. */
function payloadMatches({ payload, salt, payload_hash: hash }: AuditRow): boolean {
  if (payload === null && salt === null) return true;
  return payload !== null && salt !== null && hash?.equals(hashOf(salt, payload)) === true;
}

function hashOf(salt: Buffer, payload: Buffer): Buffer {
  return createHash('sha256').update(salt).update(payload).digest();
}

function parseObject(text: string): Readonly<Record<string, string | number>> {
  try {
    return JSON.parse(text) as Record<string, string | number>;
  } catch {
    return {}; // edited by hand; the MAC says so
  }
}
