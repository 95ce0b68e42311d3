import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import type { Dialect } from '../dialects/dialect.ts';
import { SecretsError } from '../errors.ts';
import type { Tables } from '../tables.ts';
import { asRow } from './rows.ts';
import { type Timestamp, toMillis } from './time.ts';
import { atomically } from './transactions.ts';

/** Where leases are. */
export interface LeaseEnvironment {
  readonly knex: Knex;
  readonly dialect: Dialect;
  readonly tables: Tables;
}

export interface LeaseOptions {
  /** How long a holder that is not heard of keeps others out, in milliseconds. @default 60_000 */
  readonly ttlMs?: number | undefined;
}

/** Long work that one process at a time does. */
export interface Lease {
  /** What the last holder left, for whoever goes on. */
  readonly state: string | null;
  /**
   * Extends the lease, in a transaction of the work. That cannot commit when another process has taken over, however
   * long this one was asleep.
   * @throws SecretsError `ERR_SECRETS_LEASE_LOST`
   */
  hold(trx: Knex, state?: string | null): Promise<void>;
}

interface LeaseRow {
  readonly holder: string | null;
  readonly fence: number | string;
  readonly expires_at: Timestamp;
  readonly state: string | null;
}

const DEFAULT_TTL_MS = 60_000;

/**
 * Runs `work` under the lease of this name, which is given back when it ends. Nothing is locked meanwhile: a holder that
 * was killed gives way when its lease has run out.
 *
 * @throws SecretsError `ERR_SECRETS_LEASE_HELD`, `ERR_SECRETS_LEASE_LOST`
 */
export async function withLease<T>(
  env: LeaseEnvironment,
  name: string,
  options: LeaseOptions,
  work: (lease: Lease) => Promise<T>,
): Promise<T> {
  const { knex, dialect, tables } = env;
  const ttlMs = options.ttlMs ?? DEFAULT_TTL_MS;
  const holder = randomUUID();
  const { fence, state } = await atomically(knex, dialect, tables, (trx) => take(env, trx, { name, holder, ttlMs }));
  const mine = { name, holder, fence };
  const lease: Lease = {
    state,
    hold: async (trx, next) => {
      const until = new Date((await dialect.now(trx)).getTime() + ttlMs);
      const changed = await trx(tables.leases)
        .where(mine)
        .update({ expires_at: until, ...(next === undefined ? {} : { state: next }) });
      if (changed === 0)
        throw new SecretsError('ERR_SECRETS_LEASE_LOST', { context: { lease: name }, retryable: true });
    },
  };
  try {
    return await work(lease);
  } finally {
    // Where this fails, the lease runs out by itself; what the work threw says more.
    await knex(tables.leases)
      .where(mine)
      .update({ holder: null })
      .catch(() => undefined);
  }
}

async function take(
  { dialect, tables }: LeaseEnvironment,
  trx: Knex,
  { name, holder, ttlMs }: { readonly name: string; readonly holder: string; readonly ttlMs: number },
): Promise<{ readonly fence: number; readonly state: string | null }> {
  const now = (await dialect.now(trx)).getTime();
  await trx(tables.leases)
    .insert({ name, holder: null, fence: 0, expires_at: new Date(now), state: null })
    .onConflict('name')
    .ignore();
  const row = asRow<LeaseRow>(
    await trx(tables.leases).where({ name }).forUpdate().first('holder', 'fence', 'expires_at', 'state'),
  );
  if (row === undefined) throw new SecretsError('ERR_SECRETS_DATABASE', { context: { lease: name }, retryable: true });
  if (row.holder !== null && toMillis(row.expires_at) > now) {
    throw new SecretsError('ERR_SECRETS_LEASE_HELD', { context: { lease: name }, retryable: true });
  }
  const fence = Number(row.fence) + 1;
  await trx(tables.leases)
    .where({ name })
    .update({ holder, fence, expires_at: new Date(now + ttlMs) });
  return { fence, state: row.state };
}
