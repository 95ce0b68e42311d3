import type { Knex } from 'knex';

/**
 * How statements are kept to one tenant's rows besides their own predicates. What a call reads or writes goes through
 * {@link scoped}; work across tenants goes through {@link sweeping}, and by a role that may see them all.
 */
export interface Isolation {
  /** Whether the database itself isolates tenants. */
  readonly enforced: boolean;
  /**
   * Runs `work` where this tenant's rows, and no others, are visible. In a transaction, what was visible before is
   * visible again afterwards; outside of one, `work` runs in a transaction where isolation needs one.
   */
  scoped<T>(db: Knex, tenantId: string, work: (db: Knex) => Promise<T>): Promise<T>;
  /** A knex instance that sees every tenant; given what ordinary calls use. */
  sweeping(knex: Knex): Knex;
}

/** Tenants are kept apart by predicates, encryption contexts and bindings alone. */
export const unenforced: Isolation = Object.freeze({
  enforced: false,
  scoped: async <T>(db: Knex, _tenantId: string, work: (db: Knex) => Promise<T>): Promise<T> => await work(db),
  sweeping: (knex: Knex): Knex => knex,
});
