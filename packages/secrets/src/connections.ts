import type { Knex } from 'knex';
import { auditPoolOf, releaseAuditPool, retainAuditPool } from './audit-pools.ts';
import type { Dialect } from './dialects/dialect.ts';
import { dialectOf } from './dialects/index.ts';
import { writeTransaction } from './internal/transactions.ts';
import type { Tables } from './tables.ts';

/** The database as the store uses it: the host's pool or transaction, and a small pool of its own beside it. */
export class Connections {
  readonly dialect: Dialect;
  readonly #knex: Knex;
  readonly #givenAuditKnex: Knex | undefined;
  #retained = false;

  constructor(knex: Knex, auditKnex: Knex | undefined) {
    this.dialect = dialectOf(knex);
    this.#knex = knex;
    this.#givenAuditKnex = auditKnex;
  }

  /** The transaction that a call runs in: its own, the one the store was made with, or none. */
  callersTransaction(trx: Knex.Transaction | undefined): Knex.Transaction | undefined {
    return trx ?? (this.#knex.isTransaction ? (this.#knex as Knex.Transaction) : undefined);
  }

  /** For reads and single statements: the caller's transaction, else the host's pool. */
  reader(trx: Knex.Transaction | undefined): Knex {
    return trx ?? this.#knex;
  }

  /**
   * For what has to be committed whatever becomes of the caller's transaction. SQLite has one writer, so there it is
   * the transaction itself and the row shares its fate.
   */
  outside(trx: Knex.Transaction | undefined): Knex {
    const inside = this.callersTransaction(trx);
    if (inside === undefined) return this.#knex;
    if (!this.dialect.concurrentWriters) return inside;
    return this.#givenAuditKnex ?? this.#auditPool();
  }

  /** Runs `work` in the caller's transaction, else in a transaction of the store's own. */
  async write<T>(
    trx: Knex.Transaction | undefined,
    tables: Tables,
    work: (trx: Knex.Transaction) => Promise<T>,
  ): Promise<T> {
    const inside = this.callersTransaction(trx);
    if (inside === undefined) return await writeTransaction(this.#knex, this.dialect, tables, work);
    return await work(inside);
  }

  /** Lets go of the store's own pool; the host's knex is the host's. */
  async close(): Promise<void> {
    if (!this.#retained) return;
    this.#retained = false;
    await releaseAuditPool(this.#knex);
  }

  #auditPool(): Knex {
    // A store made on a transaction lives as long as that; nobody would close it.
    if (!this.#retained && !this.#knex.isTransaction) {
      retainAuditPool(this.#knex);
      this.#retained = true;
    }
    return auditPoolOf(this.#knex);
  }
}
