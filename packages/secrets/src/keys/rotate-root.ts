import type { KeyWrapper } from '@keywright/envelope';
import type { Knex } from 'knex';
import { SYSTEM_TENANT } from '../arguments.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { SecretsError } from '../errors.ts';
import { asRows } from '../internal/rows.ts';
import { writeTransaction } from '../internal/transactions.ts';
import type { Tables } from '../tables.ts';
import { unwrapUnderRoot, wrapUnderRoot } from './root-calls.ts';
import { retireRootKeys } from './root-keys.ts';
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
  readonly onProgress?: (rewrapped: number) => void;
  readonly signal?: AbortSignal;
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
  let rewrapped = 0;
  // From the start again until a whole pass finds nothing: a process that still has the old key active may add one.
  for (;;) {
    const inPass = await rotatePass(env, options, (count) => {
      rewrapped += count;
      options.onProgress?.(rewrapped);
    });
    if (inPass === 0) break;
  }
  const retired = await writeTransaction(env.knex, env.dialect, env.tables, async (trx) => {
    const kids = await retireRootKeys(trx, env.tables, kid);
    await env.audit.record(trx, {
      tenantId: SYSTEM_TENANT,
      actor: options.actor,
      action: 'root.rotate',
      outcome: 'success',
      context: { kid, rewrapped, retired: kids.join(',') },
    });
    return kids;
  });
  return { kid, rewrapped, retired };
}

async function rotatePass(
  env: RotationEnvironment,
  { actor, signal }: RotateRootOptions,
  done: (count: number) => void,
): Promise<number> {
  const kid = env.root.activeKid;
  let after: TenantKeyRow | undefined;
  let found = 0;
  for (;;) {
    signal?.throwIfAborted();
    const rows = await nextBatch(env, kid, after);
    after = rows.at(-1);
    if (after === undefined) return found;
    found += rows.length;
    const wrapped: { row: TenantKeyRow; fresh: Buffer }[] = [];
    for (const row of rows) wrapped.push({ row, fresh: await rewrap(env, row, signal) });
    const count = await writeTransaction(env.knex, env.dialect, env.tables, async (trx) => {
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
    done(count);
  }
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

async function rewrap(env: RotationEnvironment, row: TenantKeyRow, signal: AbortSignal | undefined): Promise<Buffer> {
  const call = { tenantId: row.tenant_id, kekId: row.kek_id, timeoutMs: env.rootTimeoutMs, signal };
  if (row.wrapped === null) throw integrity(row);
  const key = await unwrapUnderRoot(env.root, { kid: row.root_kid, wrapped: row.wrapped }, call);
  let check: Uint8Array | undefined;
  try {
    const fresh = await wrapUnderRoot(env.root, key, call);
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
