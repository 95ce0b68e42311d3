import { createKeyring, generateKeyBase64, isKeywrightError } from '@keywright/envelope';
import { createSecretStore, type SecretStore } from '@keywright/secrets';
import type { TestDatabase } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { expect, onTestFinished } from 'vitest';

/** A migrated store under a fault, on a pool of its own. */
export interface Faulty {
  readonly knex: Knex;
  readonly store: SecretStore;
}

const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });

/** Closed after the test. @param settings SQL that every connection starts with */
export async function openFaulty(database: TestDatabase, settings?: string): Promise<Faulty> {
  const quiet = { error() {}, warn() {}, debug() {}, deprecate() {} };
  const pool: Knex.PoolConfig = {
    ...database.knexConfig.pool,
    ...(settings === undefined ? {} : { afterCreate: startWith(settings) }),
  };
  const knex = createKnex({ ...database.knexConfig, pool, log: quiet, acquireConnectionTimeout: 5_000 });
  const store = createSecretStore({ knex, root });
  onTestFinished(async () => {
    await store.close();
    await knex.destroy();
  });
  await store.migrate();
  return { knex, store };
}

/** What was done, and what the store said of it. */
export interface Saved {
  readonly tenant: string;
  readonly name: string;
  readonly version: number;
  readonly value: string;
}

/** The errors that a fault may make: typed, and telling that a retry may help. */
export function expectFault(error: unknown): void {
  if (!isKeywrightError(error)) throw error;
  expect(error).toMatchObject({ code: 'ERR_SECRETS_DATABASE', retryable: true });
}

/** Nothing is half written: secrets, versions and audit rows are in step, read with plain SQL. */
export async function expectInStep(knex: Knex): Promise<void> {
  const secrets = await knex('secrets').select('tenant_id', 'id', 'name', 'current_version');
  const versions = await knex('secret_versions').select('tenant_id', 'secret_id', 'version');
  const saves = await knex('secret_audit_log')
    .where({ action: 'secret.save', outcome: 'success' })
    .select('tenant_id', 'secret_id', 'version');
  const line = (row: Record<string, unknown>): string => `${row.tenant_id} ${row.secret_id} ${row.version}`;
  expect(saves.map(line).toSorted()).toEqual(versions.map(line).toSorted());
  const counted = new Map<unknown, number>();
  for (const { secret_id: id } of versions) counted.set(id, (counted.get(id) ?? 0) + 1);
  expect(secrets.map(({ id, current_version: current }) => [id, current]).toSorted()).toEqual([...counted].toSorted());
}

/** What was acknowledged is there. */
export async function expectKept(store: SecretStore, saved: readonly Saved[]): Promise<void> {
  for (const { tenant, name, version, value } of saved) {
    const secret = await store.tenant(tenant, { actor: 'checker' }).get(name, { version });
    expect(secret.value).toBe(value);
  }
}

function startWith(settings: string): NonNullable<Knex.PoolConfig['afterCreate']> {
  return (
    connection: { query(sql: string, done: (error: unknown) => void): void },
    done: (error: unknown, connection: unknown) => void,
  ) => connection.query(settings, (error) => done(error, connection));
}
