import type { Knex } from 'knex';
import { typed } from '../internal/database-error.ts';
import type { KmsKeyRef } from '../provider.ts';
import { asRows } from '../tables/rows.ts';
import type { KeyDatabase } from './connection.ts';
import type { KeyRow } from './key-record.ts';

/** Where a row is to point: a key in a backend, and what the backend calls it. */
export type NewPlace = KmsKeyRef & { readonly name: string };

/** Statements that let a row point to another place, each unless the row has changed since it was read. */
export class Moves {
  readonly #db: KeyDatabase;
  readonly #knex: Knex;

  constructor(db: KeyDatabase) {
    this.#db = db;
    this.#knex = db.committing('move');
  }

  /** The row as it is now, or `undefined` where it has changed. */
  async point(row: KeyRow, place: NewPlace): Promise<KeyRow | undefined> {
    return await typed('move', () => this.#point(this.#knex, row, place));
  }

  /**
   * As {@link point}, to a place that is recorded as a copy; in the same moment, the record becomes that of the place
   * the key leaves, which is to be deleted.
   */
  async replace(row: KeyRow, place: NewPlace): Promise<KeyRow | undefined> {
    return await typed('move', async () => {
      try {
        return await this.#knex.transaction((trx) => this.#replace(trx, row, place), this.#db.database.transaction);
      } catch (error) {
        if (error instanceof Changed) return undefined;
        throw error;
      }
    });
  }

  async #replace(trx: Knex, row: KeyRow, place: NewPlace): Promise<KeyRow> {
    // The row first: of several moves at once, one finds it as it was, and only that one writes its former place.
    const pointed = await this.#point(trx, row, place);
    if (pointed === undefined) throw new Changed();
    const { tenant_id, key_id, provider_id, name, external_id, external_version } = row;
    const recorded = await trx(this.#db.tables.copies)
      .where({ tenant_id, key_id, name: place.name, status: 'creating' })
      .update({
        provider_id,
        name,
        external_id,
        external_version,
        status: 'deleting',
        busy_until: null,
        updated_at: this.#db.database.now(trx),
      });
    if (recorded === 0) throw new Changed();
    return pointed;
  }

  async #point(db: Knex, row: KeyRow, place: NewPlace): Promise<KeyRow | undefined> {
    const { tenant_id, key_id, provider_id, name, external_id, external_version } = row;
    const rows = await db(this.#db.tables.keys)
      .where({ tenant_id, key_id, provider_id, name, external_id, external_version, status: 'active' })
      .update({
        provider_id: place.providerId,
        name: place.name,
        external_id: place.externalId,
        external_version: place.externalVersion,
        updated_at: this.#db.database.now(db),
      })
      .returning('*');
    return asRows<KeyRow>(rows)[0];
  }
}

/** Rolls the transaction back. */
class Changed extends Error {}
