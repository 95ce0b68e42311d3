import type { KeyWrapper } from '@keywright/envelope';
import type { Knex } from 'knex';
import { SYSTEM_TENANT } from '../arguments.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { SecretsError } from '../errors.ts';
import { asRows } from '../internal/rows.ts';
import { atomically } from '../internal/transactions.ts';
import type { Tables } from '../tables.ts';
import { throwIfAborted, unwrapUnderRoot, wrapUnderRoot } from './root-calls.ts';
import { holdRootKey, rootCandidate } from './root-keys.ts';
import { claimRotation, conflict, releaseRotation, retireRootKeys } from './rotation-guard.ts';
import { KEK_COLUMNS, type TenantKeyRow } from './tenant-keys.ts';

/** What a root rotation did. */
export interface RootRotation {
  /** The root key that every tenant key is under now. */
  readonly kid: string;
  /** Tenant keys that were rewrapped. */
  readonly rewrapped: number;
  /** Root keys that nothing is under any more: they may leave the keyring. */
  readonly retired: readonly string[];
}

export interface RotateRootOptions {
  readonly actor: string;
  /** Called after every batch with the number of tenant keys rewrapped so far. */
  readonly onProgress?: ((rewrapped: number) => void) | undefined;
  /** Ends the rotation between two tenant keys. What was rewrapped stays so. */
  readonly signal?: AbortSignal | undefined;
}

interface RotationEnvironment {
  readonly knex: Knex;
  readonly dialect: Dialect;
  readonly tables: Tables;
  readonly root: KeyWrapper;
  readonly audit: AuditLog;
  readonly rootTimeoutMs: number;
}

const BATCH = 100;

/**
 * Puts every tenant key under the active root key. Values and data keys are not touched. Each batch is read and
 * rewrapped outside any transaction, checked by unwrapping, and written in a short one where the row is still as it was
 * read: it can run beside live traffic, be killed at any moment and be run again.
 */
export async function rotateRoot(env: RotationEnvironment, options: RotateRootOptions): Promise<RootRotation> {
  const kid = env.root.activeKid;
  throwIfAborted(options.signal);
  const candidate = await rootCandidate(env.knex, env.tables, env.root, kid, env.rootTimeoutMs);
  await write(env, async (trx) => {
    await holdRootKey(trx, env.tables, env.root, candidate, env.rootTimeoutMs);
    await claimRotation(trx, env.tables, kid);
  });
  try {
    return await rotateTo(env, options, kid);
  } catch (error) {
    // Where this fails too, the claim gives way by itself.
    await write(env, (trx) => releaseRotation(trx, env.tables, kid)).catch(() => undefined);
    throw error;
  }
}

async function rotateTo(env: RotationEnvironment, options: RotateRootOptions, kid: string): Promise<RootRotation> {
  let rewrapped = 0;
  const retired = new Set<string>();
  for (let unfinished = true; unfinished; ) {
    rewrapped = await rotatePass(env, options, kid, rewrapped);
    unfinished = await write(env, async (trx) => {
      const end = await retireRootKeys(trx, env.tables, kid);
      for (const old of end.retired) retired.add(old);
      if (!end.unfinished) await recordEnd(env, trx, options.actor, { kid, rewrapped, retired: [...retired] });
      return end.unfinished;
    });
  }
  return { kid, rewrapped, retired: [...retired] };
}

async function recordEnd(env: RotationEnvironment, trx: Knex, actor: string, done: RootRotation): Promise<void> {
  await env.audit.record(trx, {
    tenantId: SYSTEM_TENANT,
    actor,
    action: 'root.rotate',
    outcome: 'success',
    context: { ...done, retired: done.retired.join(',') },
  });
}

/** Returns `rewrapped` with what this pass adds. */
async function rotatePass(
  env: RotationEnvironment,
  { actor, signal, onProgress }: RotateRootOptions,
  kid: string,
  rewrapped: number,
): Promise<number> {
  let after: TenantKeyRow | undefined;
  let sum = rewrapped;
  for (;;) {
    throwIfAborted(signal);
    const rows = await nextBatch(env, kid, after);
    after = rows.at(-1);
    if (after === undefined) return sum;
    const wrapped: { row: TenantKeyRow; fresh: Buffer }[] = [];
    for (const row of rows) wrapped.push({ row, fresh: await rewrap(env, kid, row, signal) });
    sum += await write(env, async (trx) => {
      await claimRotation(trx, env.tables, kid);
      let updated = 0;
      for (const { row, fresh } of wrapped) {
        updated += await trx(env.tables.tenantKeys)
          .where({ tenant_id: row.tenant_id, kek_id: row.kek_id, root_kid: row.root_kid })
          .whereNot({ status: 'destroyed' })
          .update({ wrapped: fresh, root_kid: kid });
      }
      await env.audit.record(trx, {
        tenantId: SYSTEM_TENANT,
        actor,
        action: 'root.rewrap',
        outcome: 'success',
        context: { kid, rewrapped: updated },
      });
      return updated;
    });
    report(onProgress, sum);
  }
}

function report(onProgress: RotateRootOptions['onProgress'], rewrapped: number): void {
  try {
    onProgress?.(rewrapped);
  } catch (error) {
    const context = { argument: 'onProgress', expected: 'a function that does not throw' };
    throw new SecretsError('ERR_SECRETS_INVALID_ARGUMENT', { context, cause: error });
  }
}

async function write<T>(env: RotationEnvironment, work: (trx: Knex) => Promise<T>): Promise<T> {
  return await atomically(env.knex, env.dialect, env.tables, work);
}

async function nextBatch(
  { knex, tables }: RotationEnvironment,
  kid: string,
  after: TenantKeyRow | undefined,
): Promise<readonly TenantKeyRow[]> {
  const query = knex(tables.tenantKeys)
    .whereNot({ root_kid: kid })
    .whereNot({ status: 'destroyed' })
    .orderBy(['tenant_id', 'kek_id'])
    .limit(BATCH)
    .select(...KEK_COLUMNS);
  if (after !== undefined) query.whereRaw('(tenant_id, kek_id) > (?, ?)', [after.tenant_id, after.kek_id]);
  return asRows<TenantKeyRow>(await query);
}

async function rewrap(
  env: RotationEnvironment,
  kid: string,
  row: TenantKeyRow,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const call = { tenantId: row.tenant_id, kekId: row.kek_id, timeoutMs: env.rootTimeoutMs, signal };
  if (row.wrapped === null) throw integrity(row);
  const key = await unwrapUnderRoot(env.root, { kid: row.root_kid, wrapped: row.wrapped }, call);
  let check: Uint8Array | undefined;
  try {
    const fresh = await wrapUnderRoot(env.root, key, call);
    // The active key changed under way: another one is now to be rotated to.
    if (fresh.kid !== kid) throw conflict(fresh.kid);
    check = await unwrapUnderRoot(env.root, fresh, call);
    if (!Buffer.from(check).equals(key)) throw integrity(row);
    return Buffer.from(fresh.wrapped);
  } finally {
    key.fill(0);
    check?.fill(0);
  }
}

function integrity(row: TenantKeyRow): SecretsError {
  return new SecretsError('ERR_SECRETS_INTEGRITY', { context: { tenantId: row.tenant_id, keyId: row.kek_id } });
}
