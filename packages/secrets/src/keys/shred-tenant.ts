import type { Knex } from 'knex';
import { checkText, invalidArgument, kindOf, readOptions, SYSTEM_TENANT } from '../arguments.ts';
import { SecretsError } from '../errors.ts';
import { asRow, asRows } from '../internal/rows.ts';
import { type Timestamp, toMillis } from '../internal/time.ts';
import { writeBatch } from './batches.ts';
import { OUTSIDE, REMAINING, type ShredFacts } from './shred-receipt.ts';
import type { TenantWork } from './tenant-work.ts';

export interface ShredTenantOptions {
  /** Who asks, as the audit log names them. */
  readonly actor: string;
  /** The tenant's id once more: what is shredded does not come back. */
  readonly confirm: string;
  /** For how many days backups of the database are kept, 0 to 36,500; the receipt says so. */
  readonly backupHorizonDays: number;
}

interface KeyRow {
  readonly kek_id: string;
  readonly root_kid: string;
  readonly status: string;
  readonly created_at: Timestamp;
  readonly destroyed_at: Timestamp | null;
}

const DAY_MS = 86_400_000;
const MAX_DAYS = 36_500;

/** A checked copy. @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkShred(tenantId: string, options: ShredTenantOptions | undefined): ShredTenantOptions {
  return readOptions(options ?? (null as never), 'options', (given) => {
    const { backupHorizonDays: days } = given;
    if (given.confirm !== tenantId) throw invalidArgument('confirm', "the tenant's id", kindOf(given.confirm));
    if (!Number.isSafeInteger(days) || Number(days) < 0 || Number(days) > MAX_DAYS) {
      throw invalidArgument('backupHorizonDays', `an integer from 0 to ${MAX_DAYS}`, kindOf(days));
    }
    return { actor: checkText(given.actor, 'actor'), confirm: given.confirm, backupHorizonDays: Number(days) };
  });
}

/**
 * Destroys all keys of a tenant. Waits for open transactions that write for the tenant. A tenant that was shredded before
 * gets the facts for another receipt of the same.
 *
 * @throws SecretsError `ERR_SECRETS_NOT_FOUND` for a tenant without keys
 */
export async function shredTenant(work: TenantWork, backupHorizonDays: number): Promise<ShredFacts> {
  const { tenantId, actor } = work;
  const { keys, secrets, versions } = await writeBatch(work, (trx) => destroyAll(work, trx));
  const ids = keys.map((key) => key.id);
  work.tenantKeys.forget(tenantId, ids);
  return {
    tenantId,
    at: new Date().toISOString(),
    actor,
    keys,
    secrets,
    versions,
    backupHorizonDays,
    recoverableFromBackupsUntil: new Date(lastOf(keys) + backupHorizonDays * DAY_MS).toISOString(),
    remaining: REMAINING,
    outside: OUTSIDE,
  };
}

type Destroyed = Pick<ShredFacts, 'keys' | 'secrets' | 'versions'>;

async function destroyAll(work: TenantWork, trx: Knex): Promise<Destroyed> {
  const { tables, tenantId, actor, audit } = work;
  await work.hold(trx, { rotatingTo: undefined, reencrypting: undefined });
  const rows = asRows<KeyRow>(
    await trx(tables.tenantKeys)
      .where({ tenant_id: tenantId })
      .orderBy('kek_id')
      .forUpdate()
      .select('kek_id', 'root_kid', 'status', 'created_at', 'destroyed_at'),
  );
  if (rows.length === 0) throw new SecretsError('ERR_SECRETS_NOT_FOUND', { context: { tenantId } });
  const now = new Date();
  await trx(tables.tenantKeys)
    .where({ tenant_id: tenantId })
    .whereNot({ status: 'destroyed' })
    .update({ wrapped: null, status: 'destroyed', destroyed_at: now });
  const keys = rows.map((row) => ({
    id: row.kek_id,
    rootKey: row.root_kid,
    createdAt: iso(row.created_at),
    destroyedAt: row.status === 'destroyed' ? iso(row.destroyed_at ?? now) : now.toISOString(),
  }));
  const secrets = await countOf(trx(tables.secrets).where({ tenant_id: tenantId }));
  const versions = await countOf(trx(tables.versions).where({ tenant_id: tenantId }).whereNotNull('wrapped_dek'));
  const destroyed = rows.filter(({ status }) => status !== 'destroyed').length;
  await work.record(trx, 'tenant.shred', { keys: destroyed, secrets, versions });
  await audit.record(trx, {
    tenantId: SYSTEM_TENANT,
    actor,
    action: 'tenant.shred',
    outcome: 'success',
    context: { tenant: tenantId, keys: destroyed, secrets, versions },
  });
  return { keys, secrets, versions };
}

async function countOf(query: Knex.QueryBuilder): Promise<number> {
  return Number(asRow<{ rows: number | string }>(await query.count({ rows: '*' }).first())?.rows ?? 0);
}

function lastOf(keys: Destroyed['keys']): number {
  return Math.max(...keys.map((key) => Date.parse(key.destroyedAt)));
}

function iso(at: Timestamp): string {
  return new Date(toMillis(at)).toISOString();
}
