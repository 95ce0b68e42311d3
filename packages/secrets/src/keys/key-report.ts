import type { KeyWrapper } from '@keywright/envelope';
import type { Knex } from 'knex';
import { SYSTEM_TENANT } from '../arguments.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import { SecretsError } from '../errors.ts';
import { asRow, asRows } from '../internal/rows.ts';
import type { Timestamp } from '../internal/time.ts';
import { type Keyset, type Page, pageOf } from '../pagination.ts';
import { type BatchEnvironment, writeBatch } from './batches.ts';
import { countUsers } from './key-users.ts';
import { isClaimed } from './rotation-guard.ts';
import type { TenantKeyRow } from './tenant-keys.ts';

/** Which of a tenant's keys. */
export interface TenantKeyName {
  readonly tenantId: string;
  readonly keyId: string;
}

/** Which key: a root key by its id, or a tenant's key. */
export type KeyName = string | TenantKeyName;

/** What still needs a root key. */
export interface RootKeyReport {
  readonly kind: 'root';
  readonly kid: string;
  /** `retired`: nothing can be put under it any more. `unknown`: nothing ever was. */
  readonly status: 'active' | 'retired' | 'unknown';
  /** Tenant keys under it. At 0 it may leave the keyring once it is retired. */
  readonly tenantKeys: number;
  /** Whose keys they are, in the order of the tenants' ids; `$system` is the store itself. */
  readonly tenants: Page<{ readonly tenantId: string; readonly keys: number }>;
}

/** What still needs a tenant's key. */
export interface TenantKeyReport {
  readonly kind: 'tenant';
  readonly tenantId: string;
  readonly keyId: string;
  readonly status: TenantKeyRow['status'];
  /** Versions whose data key is under it, destroyed ones that still name it included. */
  readonly versions: number;
  /** Secrets whose pointers are authenticated with it. */
  readonly bindings: number;
}

export type KeyReport = RootKeyReport | TenantKeyReport;

interface ReportEnvironment extends BatchEnvironment {
  readonly root: KeyWrapper;
  readonly audit: AuditLog;
}

/** Retires a root key that nothing is under and that is not the active one, and says what needs it otherwise. */
export async function retireRootKey(
  env: ReportEnvironment,
  kid: string,
  actor: string,
  keyset: Keyset,
): Promise<RootKeyReport> {
  const { knex, tables } = env;
  const count = async (db: Knex): Promise<number> => {
    const query = db(tables.tenantKeys).where({ root_kid: kid }).whereNot({ status: 'destroyed' });
    return Number(asRow<{ rows: number | string }>(await query.count({ rows: '*' }).first())?.rows ?? 0);
  };
  let tenantKeys = await count(knex);
  const query = knex(tables.rootKeys).where({ kid });
  const found = asRow<{ status: 'active' | 'retired' }>(await query.first('status'));
  let status: RootKeyReport['status'] = found?.status ?? 'unknown';
  if (tenantKeys === 0 && status === 'active' && kid !== env.root.activeKid) {
    status = await writeBatch(env, async (trx) => {
      // A transaction that is storing a tenant key under it holds this row.
      const locking = trx(tables.rootKeys).where({ kid }).forUpdate();
      const row = asRow<{ rotating_at: Timestamp | null }>(await locking.first('rotating_at'));
      tenantKeys = await count(trx);
      // What another process is rotating to is not what nothing needs any more.
      if (row === undefined || tenantKeys > 0 || isClaimed(row)) return 'active';
      await trx(tables.rootKeys).where({ kid }).update({ status: 'retired' });
      await env.audit.record(trx, {
        tenantId: SYSTEM_TENANT,
        actor,
        action: 'root.retire',
        outcome: 'success',
        context: { kid },
      });
      return 'retired';
    });
  }
  return { kind: 'root', kid, status, tenantKeys, tenants: await tenantsUnder(env, kid, keyset) };
}

/** @throws SecretsError `ERR_SECRETS_NOT_FOUND` */
export async function reportTenantKey(
  { knex, tables }: BatchEnvironment,
  tenantId: string,
  keyId: string,
): Promise<TenantKeyReport> {
  const row = asRow<Pick<TenantKeyRow, 'status'>>(
    await knex(tables.tenantKeys).where({ tenant_id: tenantId, kek_id: keyId }).first('status'),
  );
  if (row === undefined) throw new SecretsError('ERR_SECRETS_NOT_FOUND', { context: { tenantId, keyId } });
  const users = await countUsers(knex, tables, tenantId, keyId);
  return { kind: 'tenant', tenantId, keyId, status: row.status, ...users };
}

async function tenantsUnder(
  { knex, tables }: BatchEnvironment,
  kid: string,
  keyset: Keyset,
): Promise<RootKeyReport['tenants']> {
  const query = knex(tables.tenantKeys)
    .where({ root_kid: kid })
    .whereNot({ status: 'destroyed' })
    .groupBy('tenant_id')
    .orderBy('tenant_id')
    .limit(keyset.limit + 1)
    .select('tenant_id')
    .count({ keys: '*' });
  if (keyset.after !== undefined) query.where('tenant_id', '>', keyset.after);
  const rows = asRows<{ tenant_id: string; keys: number | string }>(await query);
  const items = rows.map((row) => ({ tenantId: row.tenant_id, keys: Number(row.keys) }));
  return pageOf(items, keyset, ({ tenantId }) => tenantId);
}
