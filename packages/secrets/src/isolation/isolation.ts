import type { Knex } from 'knex';

/** Whether the proof is made now, or may be one of the last half minute. */
export type SweepingProof = 'now' | 'lately';

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
  /**
   * A knex instance that was proved to see every tenant; given what ordinary calls use.
   * @throws SecretsError `ERR_SECRETS_RLS_BLIND`
   */
  sweeping(knex: Knex, proved: SweepingProof): Promise<Knex>;
  /**
   * Proves that the database isolates tenants from the role that `db` is connected as.
   * @throws SecretsError `ERR_SECRETS_RLS_INEFFECTIVE`
   */
  verify(db: Knex): Promise<void>;
}

/** Tenants are kept apart by predicates, encryption contexts and bindings alone. */
export const unenforced: Isolation = Object.freeze({
  enforced: false,
  scoped: async <T>(db: Knex, _tenantId: string, work: (db: Knex) => Promise<T>): Promise<T> => await work(db),
  sweeping: async (knex: Knex): Promise<Knex> => knex,
  verify: async (): Promise<void> => {},
});
