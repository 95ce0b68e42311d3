import { setTimeout as sleep } from 'node:timers/promises';
import { writeBatch } from './batches.ts';
import { countOthers } from './key-users.ts';
import { awaitWriters, nextKek } from './next-kek.ts';
import { type KeyWork, type KeyWorkOptions, ProgressReport } from './progress.ts';
import { rebind } from './rebind.ts';
import { rewrapDataKeys } from './rewrap-data-keys.ts';
import { throwIfAborted } from './root-calls.ts';
import type { TenantWork } from './tenant-work.ts';

/** What a rotation of a tenant's key did. */
export interface TenantRotation {
  readonly tenantId: string;
  /** The key that everything of the tenant is under now; of a dry run, the one that it is written with. */
  readonly keyId: string;
  /** Versions whose data key was put under it. */
  readonly dataKeys: number;
  /** Secrets whose pointers were put under it. */
  readonly bindings: number;
  /** Keys that nothing is under any more: `destroyKey()` takes them. */
  readonly previous: readonly string[];
  /** Of a dry run: rows that there are to write. */
  readonly pending?: number;
}

export interface RotateTenantOptions extends KeyWorkOptions {}

const MIN_PAUSE_MS = 20;
const MAX_PAUSE_MS = 1_000;

/**
 * Gives a tenant a new key and puts everything of theirs under it: data keys and bindings, not values. Rows are read and
 * made outside any transaction and written where they are still as they were read, leaving out those that somebody has
 * locked until the next pass. Older keys only decrypt meanwhile, so everything can be read at every moment.
 */
export async function rotateTenant(work: TenantWork, options: KeyWork): Promise<TenantRotation> {
  throwIfAborted(options.signal);
  if (options.dryRun) return await estimate(work);
  const kek = await nextKek(work);
  const keyId = kek.activeKid;
  await awaitWriters(work, keyId, options.signal);
  const before = await countOthers(work.knex, work.tables, work.tenantId, keyId);
  const report = new ProgressReport(options, before.versions + before.bindings);
  let dataKeys = 0;
  let bindings = 0;
  for (let pause = MIN_PAUSE_MS, done = false; !done; pause = Math.min(2 * pause, MAX_PAUSE_MS)) {
    let left = 0;
    for (const older of await olderKeys(work, keyId)) {
      const pass = await rewrapDataKeys(work, older, kek, options, report);
      dataKeys += pass.written;
      left += pass.left;
    }
    const pass = await rebind(work, kek, options, report);
    bindings += pass.written;
    left += pass.left;
    done = left === 0;
    if (!done) await sleep(pause);
  }
  const previous = await olderKeys(work, keyId);
  await writeBatch(work, async (trx) => {
    await work.hold(trx, { rotatingTo: undefined });
    await work.record(trx, 'tenant.rotate', { key: keyId, dataKeys, bindings, previous: previous.join(',') });
  });
  return { tenantId: work.tenantId, keyId, dataKeys, bindings, previous };
}

async function estimate({ knex, tables, tenantKeys, tenantId, unfinished }: TenantWork): Promise<TenantRotation> {
  const active = await tenantKeys.findActive(knex, tenantId);
  const goesOn = active !== undefined && active.kek_id === unfinished.rotatingTo;
  const others = await countOthers(knex, tables, tenantId, goesOn ? active.kek_id : undefined);
  const pending = others.versions + others.bindings;
  return { tenantId, keyId: active?.kek_id ?? '', dataKeys: 0, bindings: 0, previous: [], pending };
}

async function olderKeys({ knex, tenantKeys, tenantId }: TenantWork, keyId: string): Promise<readonly string[]> {
  const rows = await tenantKeys.all(knex, tenantId);
  return rows.filter((row) => row.kek_id !== keyId && row.status !== 'destroyed').map((row) => row.kek_id);
}
