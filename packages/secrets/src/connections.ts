import { isDeepStrictEqual } from 'node:util';
import type { Knex } from 'knex';
import { invalidArgument, kindOf } from './arguments.ts';
import { hasExternalPool, onAuditPool, releaseAuditPool, retainAuditPool } from './audit-pools.ts';
import type { Dialect } from './dialects/dialect.ts';
import { dialectOf } from './dialects/index.ts';
import { atomically } from './internal/transactions.ts';
import { type Isolation, type SweepingProof, unenforced } from './isolation/isolation.ts';
import type { Tables } from './tables.ts';

interface Client {
  readonly config?: Knex.Config;
  readonly pool?: unknown;
}

/** The database as the store uses it: the host's pool or transaction, and a small pool of its own beside it. */
export class Connections {
  readonly dialect: Dialect;
  readonly #knex: Knex;
  readonly #auditKnex: Knex | undefined;
  readonly #isolation: Isolation;
  #retained = false;

  /** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`, `ERR_SECRETS_UNSUPPORTED_DATABASE` */
  constructor(knex: unknown, auditKnex: unknown, isolation: Isolation = unenforced) {
    this.#isolation = isolation;
    this.#knex = checkKnex(knex, 'knex');
    this.dialect = dialectOf(this.#knex);
    this.#auditKnex = auditKnex === undefined ? undefined : this.#checkAuditKnex(auditKnex);
  }

  /**
   * What stands in the way of audit rows beside a caller's transaction; for a store, not for a migration.
   * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`
   */
  checkAuditable(): void {
    if (!this.dialect.concurrentWriters || this.#auditKnex !== undefined || !hasExternalPool(this.#knex)) return;
    // Every connection of a pool of the driver's can be inside a transaction that waits for its audit row.
    throw invalidArgument('auditKnex', 'a knex instance of its own, where knex runs on a connectionPool', 'undefined');
  }

  /**
   * The transaction that a call runs in: its own, the one the store was made with, or none.
   * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`
   */
  callersTransaction(trx: unknown): Knex.Transaction | undefined {
    if (trx === undefined) return this.#knex.isTransaction ? (this.#knex as Knex.Transaction) : undefined;
    if (!isTransaction(trx) || !this.#isOfSameDatabase(trx)) throw notATransaction(trx);
    return checkOpen(trx);
  }

  /** The caller's transaction, else the host's pool, with no tenant's isolation set up. */
  raw(trx: Knex.Transaction | undefined): Knex {
    return trx ?? this.#knex;
  }

  /** Whether the database itself isolates tenants. */
  get isolated(): boolean {
    return this.#isolation.enforced;
  }

  /**
   * For work across tenants: rotation, sealing, retention. To be asked for anew by each piece of work.
   * @param proved `lately` for what is asked again and again, and destroys nothing
   * @throws SecretsError `ERR_SECRETS_RLS_BLIND`
   */
  async sweeping(proved: SweepingProof = 'now'): Promise<Knex> {
    return await this.#isolation.sweeping(this.#knex, proved);
  }

  /**
   * Proves that the database isolates tenants, where it was asked to, from whoever `db` is connected as.
   * @throws SecretsError `ERR_SECRETS_RLS_INEFFECTIVE`
   */
  async verifyIsolation(db: Knex): Promise<void> {
    await this.#isolation.verify(db);
  }

  /** Runs reads of one tenant's rows in the caller's transaction, else on the host's pool. */
  async read<T>(trx: Knex.Transaction | undefined, tenantId: string, work: (db: Knex) => Promise<T>): Promise<T> {
    return await this.scoped(this.raw(trx), tenantId, work);
  }

  /**
   * Runs what has to be committed whatever becomes of the caller's transaction. SQLite has one writer, so there it is
   * done in the transaction itself and shares its fate.
   */
  async outside<T>(trx: Knex.Transaction | undefined, tenantId: string, work: (db: Knex) => Promise<T>): Promise<T> {
    return await this.beside(trx, (db) => this.scoped(db, tenantId, work));
  }

  /** Runs `work` where this tenant's rows are visible. */
  async scoped<T>(db: Knex, tenantId: string, work: (db: Knex) => Promise<T>): Promise<T> {
    return await this.#isolation.scoped(db, tenantId, work);
  }

  /** The other side of {@link outside} where the host gave the audit pool: both must be one database. */
  besideAuditKnex(trx: Knex.Transaction | undefined): Knex | undefined {
    if (this.#auditKnex === undefined || !this.dialect.concurrentWriters) return undefined;
    return this.callersTransaction(trx) ?? this.#auditKnex;
  }

  /**
   * Runs changes of one tenant's rows in the caller's transaction, else in a transaction of the store's own. Leaves
   * nothing behind if it throws.
   */
  async write<T>(
    trx: Knex.Transaction | undefined,
    tenantId: string,
    tables: Tables,
    work: (trx: Knex.Transaction) => Promise<T>,
  ): Promise<T> {
    const db = this.callersTransaction(trx) ?? this.#knex;
    return await atomically(db, this.dialect, tables, (inside) => this.scoped(inside, tenantId, () => work(inside)));
  }

  /** Lets go of the store's own pool; the host's knex is the host's. */
  async close(): Promise<void> {
    if (!this.#retained) return;
    this.#retained = false;
    await releaseAuditPool(this.#knex);
  }

  /** As {@link outside}, with no tenant's isolation set up. */
  async beside<T>(trx: Knex.Transaction | undefined, work: (db: Knex) => Promise<T>): Promise<T> {
    const inside = this.callersTransaction(trx);
    if (inside === undefined) return await work(this.#knex);
    if (!this.dialect.concurrentWriters) return await work(inside);
    return await this.besideTransactions(work);
  }

  /** For what is committed while callers' transactions are open, whoever they are; with no tenant's isolation set up. */
  async besideTransactions<T>(work: (db: Knex) => Promise<T>): Promise<T> {
    if (this.#auditKnex !== undefined) return await work(this.#auditKnex);
    // A store made on a transaction lives as long as that; nobody would close it.
    if (!this.#retained && !this.#knex.isTransaction) {
      retainAuditPool(this.#knex);
      this.#retained = true;
    }
    return await onAuditPool(this.#knex, work);
  }

  #checkAuditKnex(auditKnex: unknown): Knex {
    const checked = checkKnex(auditKnex, 'auditKnex');
    const { pool } = this.#knex.client as Client;
    const shared =
      checked.client === this.#knex.client || (pool !== undefined && pool === (checked.client as Client).pool);
    if (!checked.isTransaction && !shared && dialectOf(checked) === this.dialect) return checked;
    throw invalidArgument('auditKnex', 'a knex instance with a pool of its own on the same database', 'another');
  }

  #isOfSameDatabase(trx: Knex.Transaction): boolean {
    const ours = (this.#knex.client as Client).config;
    const theirs = (trx.client as Client).config;
    if (ours === undefined || theirs === undefined) return false;
    if (ours === theirs) return true;
    // A host may have two instances on one server. Two of SQLite can be two databases in memory.
    return (
      this.dialect.concurrentWriters &&
      ours.connection !== undefined &&
      isDeepStrictEqual(
        [ours.client, ours.connection, ours.searchPath],
        [theirs.client, theirs.connection, theirs.searchPath],
      )
    );
  }
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` for a transaction that has ended */
export function checkOpen(trx: Knex.Transaction): Knex.Transaction {
  if (!trx.isCompleted()) return trx;
  throw invalidArgument('trx', 'an open transaction', 'one that has ended');
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkKnex(knex: unknown, argument: string): Knex {
  if (holds(() => typeof knex === 'function' && isObject((knex as Knex).client))) return knex as Knex;
  throw invalidArgument(argument, 'a knex instance', kindOf(knex));
}

function isTransaction(trx: unknown): trx is Knex.Transaction {
  return holds(() => {
    if (typeof trx !== 'function') return false;
    const { isTransaction: is, isCompleted, client } = trx as Partial<Knex.Transaction>;
    return is === true && typeof isCompleted === 'function' && isObject(client);
  });
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/** What throws when it is looked at is not what was asked for. */
function holds(check: () => boolean): boolean {
  try {
    return check();
  } catch {
    return false;
  }
}

function notATransaction(trx: unknown): Error {
  return invalidArgument('trx', "an open transaction of the store's knex instance", kindOf(trx));
}
