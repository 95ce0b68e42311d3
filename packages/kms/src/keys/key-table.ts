import type { Knex } from 'knex';
import { typed } from '../internal/database-error.ts';
import type { KmsKey } from '../provider.ts';
import { asRows } from '../tables/rows.ts';
import type { KeyDatabase } from './connection.ts';
import { type KeyRow, type KeyStatus, REF_COLUMNS, type RefRow } from './key-record.ts';

/** A key that is to be made. */
export interface Stub {
  readonly tenantId: string;
  readonly keyId: string;
  readonly providerId: string;
  readonly name: string;
  readonly alg: string;
  readonly description: string | undefined;
  /** How long it counts as being made. */
  readonly busyMs: number;
}

export interface KeyPageQuery {
  readonly provider: string | undefined;
  readonly status: KeyStatus | undefined;
  readonly after: string | undefined;
  readonly limit: number;
}

/** Statements on the table of keys, each one round trip. Whatever they throw is typed. */
export class KeyTable {
  readonly #db: KeyDatabase;

  constructor(db: KeyDatabase) {
    this.#db = db;
  }

  /** Whether the key id was free. */
  async insertStub(stub: Stub): Promise<boolean> {
    const knex = this.#db.committing('create');
    const { database, tables } = this.#db;
    const { tenantId, keyId, providerId, name, alg, description, busyMs } = stub;
    const now = database.now(knex);
    return await typed('create', async () => {
      const inserted = (await knex(tables.keys)
        .insert({
          tenant_id: tenantId,
          key_id: keyId,
          provider_id: providerId,
          name,
          alg,
          description: description ?? null,
          status: 'creating',
          busy_until: database.now(knex, busyMs),
          created_at: now,
          updated_at: now,
        })
        .onConflict(['tenant_id', 'key_id'])
        .ignore()
        .returning('key_id')) as readonly unknown[];
      return inserted.length > 0;
    });
  }

  /** The row as it is now, or `undefined` unless it was still being made. */
  async activate({ tenantId, keyId, name }: Stub, key: KmsKey): Promise<KeyRow | undefined> {
    const knex = this.#db.committing('create');
    return await typed('create', async () => {
      const rows = await knex(this.#db.tables.keys)
        .where({ tenant_id: tenantId, key_id: keyId, name, status: 'creating' })
        .update({
          status: 'active',
          external_id: key.externalId,
          external_version: key.externalVersion,
          public_jwk: JSON.stringify(key.publicJwk),
          busy_until: null,
          updated_at: this.#db.database.now(knex),
        })
        .returning('*');
      return asRows<KeyRow>(rows)[0];
    });
  }

  async find(tenantId: string, keyId: string, trx: Knex.Transaction | undefined): Promise<KeyRow | undefined> {
    const knex = this.#db.reading(trx);
    return await typed('get', async () => {
      const rows = await knex(this.#db.tables.keys).where({ tenant_id: tenantId, key_id: keyId }).limit(1);
      return asRows<KeyRow>(rows)[0];
    });
  }

  /** Only where it is: what signing needs. */
  async locate(tenantId: string, keyId: string, trx: Knex.Transaction | undefined): Promise<RefRow | undefined> {
    const knex = this.#db.reading(trx);
    return await typed('sign', async () => {
      const rows = await knex(this.#db.tables.keys)
        .where({ tenant_id: tenantId, key_id: keyId })
        .limit(1)
        .select(...REF_COLUMNS);
      return asRows<RefRow>(rows)[0];
    });
  }

  async page(tenantId: string, query: KeyPageQuery, trx: Knex.Transaction | undefined): Promise<readonly KeyRow[]> {
    const { provider, status, after, limit } = query;
    const knex = this.#db.reading(trx);
    return await typed('list', async () => {
      const rows = await knex(this.#db.tables.keys)
        .where({
          tenant_id: tenantId,
          ...(provider === undefined ? {} : { provider_id: provider }),
          ...(status === undefined ? {} : { status }),
        })
        .modify((select) => (after === undefined ? select : select.where('key_id', '>', after)))
        .orderBy('key_id')
        .limit(limit);
      return asRows<KeyRow>(rows);
    });
  }

  /**
   * Lets no more signatures be made with a key, unless its row was changed. Whether it is deleting now, by this call or
   * by one before.
   */
  async beginDelete({ tenant_id, key_id, provider_id, name, external_id, external_version }: RefRow): Promise<boolean> {
    const knex = this.#db.committing('delete');
    return await typed('delete', async () => {
      const changed = await knex(this.#db.tables.keys)
        .where({ tenant_id, key_id, provider_id, name, external_id, external_version })
        .whereIn('status', ['active', 'deleting'])
        .update({ status: 'deleting', updated_at: this.#db.database.now(knex) });
      return changed > 0;
    });
  }
}
