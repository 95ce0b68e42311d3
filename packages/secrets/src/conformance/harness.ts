import type { Knex } from 'knex';
import { expect } from 'vitest';
import type { SecretStoreOptions } from '../options.ts';
import type { SecretStore } from '../store.ts';
import type { TableOptions } from '../tables.ts';
import type { TenantSecrets } from '../tenant.ts';

/** A migrated store on a database of its own. */
export interface StoreHarness {
  readonly store: SecretStore;
  /** What the store was made on: transactions of callers are begun here. */
  readonly knex: Knex;
  /** Sees and edits every row, as somebody does who has the database. */
  readonly admin: Knex;
  /** Where the tables are. */
  readonly tables?: TableOptions | undefined;
  close(): Promise<void>;
}

/** Makes a store with these options besides its own: those that the suite has to set, such as a logger. */
export type MakeStoreHarness = (options: Partial<SecretStoreOptions>) => Promise<StoreHarness>;

/** A harness, as the themes of the suite use it. */
export interface Subject {
  readonly harness: StoreHarness;
  /** Everything that was logged so far. */
  readonly log: readonly string[];
  /** One of the suite's tenants; every theme has its own. */
  tenant(tenantId: string, trx?: Knex.Transaction): TenantSecrets;
  /** Name of a table, with prefix and schema. */
  table(name: string): string;
  /** Audit rows of a tenant in the order they were written. */
  auditRows(tenantId: string): Promise<readonly AuditRecord[]>;
}

export interface AuditRecord {
  readonly id: string;
  readonly action: string;
  readonly outcome: string;
  readonly actor: string;
  readonly secret_name: string | null;
  readonly version: number | null;
  readonly context: string;
}

/** Registers the tests of one theme. */
export type Theme = (subject: () => Subject) => void;

export const ACTOR = 'conformance';

export function subjectOf(harness: StoreHarness, log: readonly string[]): Subject {
  const { prefix = '', schema } = harness.tables ?? {};
  const table = (name: string): string => (schema === undefined ? '' : `${schema}.`) + prefix + name;
  return {
    harness,
    log,
    table,
    tenant: (tenantId, trx) => harness.store.tenant(tenantId, { actor: ACTOR, trx }),
    auditRows: async (tenantId) =>
      (await harness
        .admin(table('secret_audit_log'))
        .where({ tenant_id: tenantId })
        .orderBy('id')) as readonly AuditRecord[],
  };
}

/** The error that a call is refused with; one that succeeds fails the test. */
export async function refusal(call: Promise<unknown>): Promise<Error & { readonly code?: unknown }> {
  try {
    await call;
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected a refusal');
}

/** Expects a typed refusal, by its code. */
export async function expectRefusal(call: Promise<unknown>, code: string): Promise<void> {
  const error = await refusal(call);
  expect({ code: error.code, name: error.name }).toEqual({ code, name: 'SecretsError' });
}
