import createKnex, { type Knex } from 'knex';

// Two: an audit row must never wait for a pool whose connections are all inside transactions that wait for audit rows.
// Idle connections go soon, so that a store that nobody closes keeps neither a connection nor the process.
const POOL = { min: 0, max: 2, idleTimeoutMillis: 5_000 } as const;

interface SharedPool {
  readonly knex: Knex;
  /** Stores that have it open. */
  stores: number;
  /** Calls that are on it now. */
  calls: number;
  /** Called when the last call has ended, once its last store has gone. */
  idle: (() => void) | undefined;
}

// The host's hooks stay: `afterCreate` may set a search path or a role that decides where rows go.
// One per configuration of the host, however many stores are made on it: some hosts make one for every request.
const pools = new WeakMap<object, SharedPool>();

/** Whether knex runs on a driver's pool of the host's: a copy of its configuration would share that pool. */
export function hasExternalPool(host: Knex): boolean {
  return (host.client.config as { connectionPool?: unknown }).connectionPool !== undefined;
}

/** Runs `work` on the audit pool beside the host's pool, opened on first use and not closed meanwhile. */
export async function onAuditPool<T>(host: Knex, work: (db: Knex) => Promise<T>): Promise<T> {
  const pool = poolOf(host);
  pool.calls++;
  try {
    return await work(pool.knex);
  } finally {
    pool.calls--;
    if (pool.calls === 0) pool.idle?.();
  }
}

/** Says that a store may use the pool until it releases it. */
export function retainAuditPool(host: Knex): void {
  poolOf(host).stores++;
}

/** Closes the pool when its last store and the last call have gone; whoever comes later opens another. */
export async function releaseAuditPool(host: Knex): Promise<void> {
  const config = host.client.config as object;
  const pool = pools.get(config);
  if (pool === undefined || --pool.stores > 0) return;
  pools.delete(config);
  // Stores that were made on a transaction hold no claim: they may be on it now.
  if (pool.calls > 0) await new Promise<void>((resolve) => (pool.idle = resolve));
  await pool.knex.destroy();
}

function poolOf(host: Knex): SharedPool {
  const config = host.client.config as Knex.Config;
  let pool = pools.get(config);
  if (pool === undefined) {
    const knex = createKnex({ ...config, pool: { ...config.pool, ...POOL } });
    pool = { knex, stores: 0, calls: 0, idle: undefined };
    pools.set(config, pool);
  }
  return pool;
}
