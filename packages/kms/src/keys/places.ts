import type { Knex } from 'knex';
import { typed } from '../internal/database-error.ts';
import { asRows } from '../tables/rows.ts';
import type { KeyDatabase } from './connection.ts';
import { REF_COLUMNS, type RefRow } from './key-record.ts';

/**
 * A key in a backend that the database knows of: the one that a key's row names, or a copy of it on its way to or from
 * another provider.
 */
export interface Place {
  readonly table: 'keys' | 'copies';
  readonly row: RefRow;
}

/** The order of pages: the primary key of both tables, nearly. */
export interface PlaceCursor {
  readonly tenantId: string;
  readonly keyId: string;
  readonly name: string;
}

/** Which creates have ended, however they did. */
export interface Stale {
  readonly olderThanMs: number;
}

/** What the index of keys that are not active asks for, in the very words that SQLite wants to hear. */
const PENDING = "status <> 'active'";

/** Statements on keys of both tables that are not simply there. */
export class Places {
  readonly #db: KeyDatabase;
  readonly #knex: Knex;
  readonly #operation: string;

  constructor(db: KeyDatabase, operation: string) {
    this.#db = db;
    this.#knex = db.committing(operation);
    this.#operation = operation;
  }

  /** A page of the places of one provider and status. */
  async page(
    table: Place['table'],
    providerId: string,
    status: string,
    after: PlaceCursor | undefined,
    limit: number,
    stale?: Stale,
  ): Promise<readonly Place[]> {
    return await this.#typed(async () => {
      const rows = await this.#table(table)
        .where({ provider_id: providerId, status })
        .modify((select) => {
          if (status !== 'active') select.whereRaw(PENDING);
          if (after !== undefined) {
            const { tenantId, keyId, name } = after;
            select.whereRaw('(tenant_id, key_id, name) > (?, ?, ?)', [tenantId, keyId, name]);
          }
          if (stale !== undefined) this.#whereStale(select, stale);
        })
        .orderBy(['tenant_id', 'key_id', 'name'])
        .limit(limit)
        .select(...REF_COLUMNS);
      return asRows<RefRow>(rows).map((row) => ({ table, row }));
    });
  }

  /**
   * The places, of any provider and tenant, that have one of these names or external ids. In one statement: a key that
   * is moved between two would be in neither table.
   */
  async known(names: readonly string[], externalIds: readonly string[]): Promise<readonly Place[]> {
    const of = (table: Place['table']): Knex.QueryBuilder =>
      this.#table(table)
        .whereIn('name', names)
        .orWhereIn('external_id', externalIds)
        .select(...REF_COLUMNS, this.#knex.raw(`'${table}' as place`));
    return await this.#typed(async () => {
      const rows = asRows<RefRow & { place: Place['table'] }>(await of('keys').unionAll(of('copies')));
      return rows.map(({ place: table, ...row }) => ({ table, row }));
    });
  }

  /** Deleting copies of one key. */
  async leftovers(tenantId: string, keyId: string): Promise<readonly Place[]> {
    return await this.#typed(async () => {
      const rows = await this.#table('copies')
        .where({ tenant_id: tenantId, key_id: keyId, status: 'deleting' })
        .limit(100)
        .select(...REF_COLUMNS);
      return asRows<RefRow>(rows).map((row) => ({ table: 'copies', row }));
    });
  }

  /** Records a copy that is to be made. */
  async insertCopy(place: RefRow, busyMs: number): Promise<void> {
    const { database } = this.#db;
    const now = database.now(this.#knex);
    await this.#typed(() =>
      this.#table('copies').insert({
        ...place,
        busy_until: database.now(this.#knex, busyMs),
        created_at: now,
        updated_at: now,
      }),
    );
  }

  /**
   * Turns a create that has ended into a delete of what it made. Whoever makes the key after all finds it claimed.
   * @param stale unless the caller is the one who made it
   */
  async claim(
    { table, row }: Place,
    externalId: string,
    externalVersion: string | null,
    stale?: Stale,
  ): Promise<boolean> {
    return await this.#typed(async () => {
      const claimed = await this.#row(table, row)
        .where({ status: 'creating' })
        .modify((update) => (stale === undefined ? update : this.#whereStale(update, stale)))
        .update({
          status: 'deleting',
          external_id: externalId,
          external_version: externalVersion,
          busy_until: null,
          updated_at: this.#now(),
        });
      return claimed > 0;
    });
  }

  /** The create has ended, nobody knows how. */
  async release({ table, row }: Place): Promise<void> {
    await this.#typed(() =>
      this.#row(table, row).where({ status: 'creating' }).update({ busy_until: null, updated_at: this.#now() }),
    );
  }

  /** The backend would not delete it. */
  async failed({ table, row }: Place, code: string): Promise<void> {
    await this.#typed(() =>
      this.#row(table, row)
        .where({ status: 'deleting' })
        .update({ attempts: this.#knex.raw('attempts + 1'), last_error: code, updated_at: this.#now() }),
    );
  }

  /** Forgets it: the backend does not hold it. */
  async drop({ table, row }: Place, status: 'creating' | 'deleting', stale?: Stale): Promise<boolean> {
    return await this.#typed(async () => {
      const dropped = await this.#row(table, row)
        .where({ status })
        .modify((remove) => (stale === undefined ? remove : this.#whereStale(remove, stale)))
        .delete();
      return dropped > 0;
    });
  }

  /**
   * How many keys are being made, or were and nobody knows how it ended.
   * @param providerId at this provider, or at all
   */
  async creating(providerId?: string): Promise<number> {
    const at = providerId === undefined ? {} : { provider_id: providerId };
    return await this.#typed(async () => {
      let count = 0;
      for (const table of ['keys', 'copies'] as const) {
        const query = this.#table(table).where({ ...at, status: 'creating' });
        const rows = await query.whereRaw(PENDING).count({ n: '*' });
        count += Number(asRows<{ n: unknown }>(rows)[0]?.n);
      }
      return count;
    });
  }

  /** Whether an active key is still where it was. */
  async isStill({ tenant_id, key_id, name, provider_id, external_id }: RefRow): Promise<boolean> {
    return await this.#typed(async () => {
      const rows = (await this.#table('keys')
        .where({ tenant_id, key_id, name, provider_id, external_id, status: 'active' })
        .select('name')) as readonly unknown[];
      return rows.length > 0;
    });
  }

  /** Whether this provider calls keys by the name that they are given. */
  async callsByName(providerId: string): Promise<boolean> {
    return await this.#typed(async () => {
      const rows = (await this.#table('keys')
        .where({ provider_id: providerId })
        .whereRaw('external_id = name')
        .limit(1)
        .select('name')) as readonly unknown[];
      return rows.length > 0;
    });
  }

  /** Tenants that have keys at this provider, in pages. */
  async tenants(providerId: string, after: string | undefined, limit: number): Promise<readonly string[]> {
    // Each side limited by itself: PostgreSQL would sort all rows for each page.
    const of = (table: Place['table']): Knex.QueryBuilder =>
      this.#knex.select('tenant_id').from(
        this.#table(table)
          .where({ provider_id: providerId })
          .modify((select) => (after === undefined ? select : select.where('tenant_id', '>', after)))
          .distinct('tenant_id')
          .orderBy('tenant_id')
          .limit(limit)
          .as(table),
      );
    return await this.#typed(async () => {
      const rows = await of('keys').union(of('copies')).orderBy('tenant_id').limit(limit);
      return asRows<{ tenant_id: string }>(rows).map(({ tenant_id: id }) => id);
    });
  }

  /** Ids of the providers of all places. */
  async providers(): Promise<readonly string[]> {
    const of = (table: Place['table']): Knex.QueryBuilder => this.#table(table).distinct('provider_id');
    return await this.#typed(async () => {
      const rows = await of('keys').union(of('copies')).orderBy('provider_id');
      return asRows<{ provider_id: string }>(rows).map(({ provider_id: id }) => id);
    });
  }

  #table(table: Place['table']): Knex.QueryBuilder {
    return this.#knex(this.#db.tables[table]);
  }

  #row(table: Place['table'], { tenant_id, key_id, name }: RefRow): Knex.QueryBuilder {
    return this.#table(table).where({ tenant_id, key_id, name });
  }

  #whereStale(query: Knex.QueryBuilder, { olderThanMs }: Stale): void {
    query
      .where('updated_at', '<=', this.#db.database.now(this.#knex, -olderThanMs))
      .where((busy) => busy.whereNull('busy_until').orWhere('busy_until', '<', this.#now()));
  }

  #now(): Knex.Raw {
    return this.#db.database.now(this.#knex);
  }

  async #typed<T>(work: () => PromiseLike<T>): Promise<T> {
    return await typed(this.#operation, async () => await work());
  }
}
