import { setTimeout as sleep } from 'node:timers/promises';
import { isKeywrightError } from '@keywright/envelope';
import { SecretsError } from '../errors.ts';
import { type Lease, type LeaseEnvironment, withLease } from '../internal/lease.ts';

// Work that changes the tree, of which one process at a time does one.
const TREE_LEASE = 'audit.tree';
const PAUSE_MS = 100;

/**
 * Runs work that changes the tree. Where another process does, it is waited for: it is seldom long.
 *
 * @throws SecretsError `ERR_SECRETS_LEASE_HELD`, `ERR_SECRETS_LEASE_LOST`, `ERR_SECRETS_ABORTED`
 */
export async function withTreeLease<T>(
  env: LeaseEnvironment,
  waitMs: number,
  signal: AbortSignal | undefined,
  work: (lease: Lease) => Promise<T>,
): Promise<T> {
  const start = performance.now();
  for (;;) {
    let taken = false;
    try {
      return await withLease(env, TREE_LEASE, {}, async (lease) => {
        taken = true;
        return await work(lease);
      });
    } catch (error) {
      const held = !taken && isKeywrightError(error) && error.code === 'ERR_SECRETS_LEASE_HELD';
      if (!held || performance.now() - start >= waitMs) throw error;
    }
    if (signal?.aborted === true) throw new SecretsError('ERR_SECRETS_ABORTED');
    await sleep(PAUSE_MS * (0.5 + Math.random()));
  }
}
