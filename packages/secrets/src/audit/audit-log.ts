import { randomBytes } from 'node:crypto';
import type { Keyring } from '@keywright/envelope';
import type { Knex } from 'knex';
import { toMillis } from '../internal/time.ts';
import { timeOrderedId } from '../internal/time-ordered-id.ts';
import type { Tables } from '../tables.ts';
import { auditKeyId, canonicalRow, isAuthentic, payloadHash, rowKey, rowMac } from './canonical.ts';
import type { AuditEntry, AuditEvent } from './event.ts';
import { type AuditQuery, findAuditRows } from './list.ts';
import type { AuditRow, NewAuditRow } from './row.ts';
import { factsOf } from './row-facts.ts';

const SALT_BYTES = 16;

/**
 * The audit log: one row per operation, each under a MAC, never a value. What can be personal (the request's address,
 * user agent …) goes into `payload`, which the MAC covers only through a salted hash that is stored beside it, so that
 * it can be erased without breaking the row.
 */
export class AuditLog {
  readonly #tables: Tables;
  readonly #keys = new Map<string, Keyring>();
  #active: Keyring | undefined;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** Sets the key of the store's own tenant that new rows are authenticated with. */
  useKey(key: Keyring): void {
    this.#active = key;
    this.addKey(key);
  }

  /** Adds an earlier key: rows that were authenticated with it stay authentic. */
  addKey(key: Keyring): void {
    this.#keys.set(key.activeKid, key);
  }

  /** Whether rows that were authenticated with this key can be judged. */
  knows(kid: string): boolean {
    return this.#keys.has(kid);
  }

  /** The key that new rows are authenticated with. */
  get key(): Keyring {
    if (this.#active === undefined) throw new TypeError('The audit log was used before the store was ready.');
    return this.#active;
  }

  /** Writes one row. It is committed with whatever `db` commits. */
  async record(db: Knex, event: AuditEvent): Promise<void> {
    await db(this.#tables.auditLog).insert(this.rowOf(event));
  }

  /** Whether anything was ever written. */
  async hasRows(db: Knex): Promise<boolean> {
    return (await db(this.#tables.auditLog).first('id')) !== undefined;
  }

  /**
   * What a tenant asks for; one more than the limit, for `pageOf`. Every row's MAC is checked.
   * @param loadKeys finds keys that rows were authenticated with and that are not at hand
   */
  async list(
    db: Knex,
    tenantId: string,
    query: AuditQuery,
    loadKeys: (rows: readonly AuditRow[]) => Promise<void>,
  ): Promise<readonly AuditEntry[]> {
    const rows = await findAuditRows(db, this.#tables, tenantId, query);
    await loadKeys(rows);
    return rows.map((row) => this.entryOf(row));
  }

  /** A row to be written, under its MAC. */
  rowOf(event: AuditEvent): NewAuditRow {
    const row = this.unsignedRow(event);
    return { ...row, mac: rowMac(rowKey(this.key, row.tenant_id, row.id), canonicalRow(row)) };
  }

  /** A row to be written by a statement that makes the MAC itself. */
  unsignedRow(event: AuditEvent): Omit<NewAuditRow, 'mac'> {
    const payload = event.request === undefined ? null : Buffer.from(JSON.stringify(event.request));
    const salt = payload === null ? null : randomBytes(SALT_BYTES);
    return {
      tenant_id: event.tenantId,
      id: timeOrderedId(),
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
      payload_hash: payload === null || salt === null ? null : payloadHash(salt, payload),
    };
  }

  /** A row as its readers see it. */
  entryOf(row: AuditRow): AuditEntry {
    return {
      id: row.id,
      at: new Date(toMillis(row.at)),
      actor: row.actor,
      action: row.action,
      secretId: row.secret_id,
      secretName: row.secret_name,
      version: row.version,
      outcome: row.outcome,
      context: factsOf(row.context) as AuditEntry['context'],
      request: factsOf(String(row.payload ?? '{}')) as AuditEntry['request'],
      requestErased: row.payload === null && row.payload_hash !== null,
      sealed: row.leaf_index !== null,
      authentic: this.isAuthentic(row),
    };
  }

  /** A MAC under a key that the store does not hold is a forgery as far as it can tell. */
  isAuthentic(row: AuditRow, canonical?: Uint8Array): boolean {
    const key = this.#keys.get(auditKeyId(row) ?? '');
    return key !== undefined && isAuthentic(key, row, canonical);
  }
}
