import createKnex, { type Knex } from 'knex';

// Two: an audit row must never wait for a pool whose connections are all inside transactions that wait for audit rows.
// Idle connections go soon, so that a store that nobody closes keeps neither a connection nor the process.
const POOL = { min: 0, max: 2, idleTimeoutMillis: 5_000 } as const;

interface SharedPool {
  readonly knex: Knex;
  users: number;
}

// The host's hooks stay: `afterCreate` may set a search path or a role that decides where rows go.
// One per configuration of the host, however many stores are made on it: some hosts make one for every request.
const pools = new WeakMap<object, SharedPool>();

/** The audit pool beside the host's pool, opened on first use. */
export function auditPoolOf(host: Knex): Knex {
  const config = host.client.config as Knex.Config;
  let pool = pools.get(config);
  if (pool === undefined) {
    pool = {
      knex: createKnex(isExternal(config) ? config : { ...config, pool: { ...config.pool, ...POOL } }),
      users: 0,
    };
    pools.set(config, pool);
  }
  return pool.knex;
}

/** Says that a store may use the pool until it releases it. */
export function retainAuditPool(host: Knex): void {
  auditPoolOf(host);
  const pool = pools.get(host.client.config as object);
  if (pool !== undefined) pool.users++;
}

/** Closes the pool when its last user has gone; whoever comes later opens another. */
export async function releaseAuditPool(host: Knex): Promise<void> {
  const config = host.client.config as object;
  const pool = pools.get(config);
  if (pool === undefined || --pool.users > 0) return;
  pools.delete(config);
  // A pool that the host made and handed to knex is the host's to end.
  if (!isExternal(config)) await pool.knex.destroy();
}

/** Whether knex runs on a driver's pool of the host's, which cannot be copied: `auditKnex` is for such hosts. */
function isExternal(config: object): boolean {
  return (config as { connectionPool?: unknown }).connectionPool !== undefined;
}
