import type { Knex } from 'knex';
import type { AuditLog } from '../audit/audit-log.ts';
import type { AuditAction } from '../audit/event.ts';
import { SecretsError } from '../errors.ts';
import { asRows } from '../internal/rows.ts';
import { type BatchEnvironment, writeBatch } from './batches.ts';
import { countUsers } from './key-users.ts';
import type { TenantKeyRow } from './tenant-keys.ts';

/** A tenant's key, and who changes it. */
export interface KeyChange {
  readonly tenantId: string;
  readonly keyId: string;
  readonly actor: string;
}

interface StateEnvironment extends BatchEnvironment {
  readonly audit: AuditLog;
}

type State = Pick<TenantKeyRow, 'kek_id' | 'status'>;

/**
 * Refuses a key until it is enabled: nothing under it can be read, and nothing is written where it is the active one. It
 * waits for nobody: what an open transaction has written under it is refused like the rest.
 */
export async function disableKey(env: StateEnvironment, change: KeyChange): Promise<void> {
  await changed(env, change, 'tenant-key.disable', 'beside-writers', async (_trx, { status }) => {
    if (status === 'destroyed') throw unavailable(change, status);
    return status === 'disabled' ? undefined : { status: 'disabled' };
  });
}

/** Lets a disabled key decrypt again, and be written with where it is the tenant's newest and none is. */
export async function enableKey(env: StateEnvironment, change: KeyChange): Promise<void> {
  await changed(env, change, 'tenant-key.enable', 'beside-writers', async (_trx, { status }, all) => {
    if (status === 'destroyed') throw unavailable(change, status);
    if (status !== 'disabled') return undefined;
    const living = all.filter((row) => row.status !== 'destroyed');
    const newest = living.at(-1)?.kek_id === change.keyId;
    const writes = newest && living.every((row) => row.status !== 'active');
    return { status: writes ? 'active' : 'decrypt-only' };
  });
}

/**
 * Destroys a key that nothing needs. Transactions that write under it are waited for, and looked for again.
 * @throws SecretsError `ERR_SECRETS_KEY_IN_USE`
 */
export async function destroyKey(env: StateEnvironment, change: KeyChange): Promise<void> {
  await changed(env, change, 'tenant-key.destroy', 'after-writers', async (trx, { status }) => {
    if (status === 'destroyed') return undefined;
    const { tenantId, keyId } = change;
    const { versions, bindings } = await countUsers(trx, env.tables, tenantId, keyId);
    if (status === 'active' || versions + bindings > 0) {
      const context = { tenantId, keyId, state: status, count: versions + bindings };
      throw new SecretsError('ERR_SECRETS_KEY_IN_USE', { context });
    }
    return { status: 'destroyed', wrapped: null, destroyed_at: new Date() };
  });
}

/**
 * Changes a key's row under its lock; `undefined` leaves it as it is.
 * @param when whether transactions that write under the key are waited for
 */
async function changed(
  env: StateEnvironment,
  { tenantId, keyId, actor }: KeyChange,
  action: AuditAction,
  when: 'beside-writers' | 'after-writers',
  change: (trx: Knex, row: State, all: readonly State[]) => Promise<Record<string, unknown> | undefined>,
): Promise<void> {
  await writeBatch(env, async (trx) => {
    const all = asRows<State>(
      await trx(env.tables.tenantKeys)
        .where({ tenant_id: tenantId })
        .orderBy(['created_at', 'kek_id'])
        .select('kek_id', 'status'),
    );
    const query = trx(env.tables.tenantKeys).where({ tenant_id: tenantId, kek_id: keyId });
    const locking = when === 'after-writers' ? query.forUpdate() : query.forNoKeyUpdate();
    const [row] = asRows<State>(await locking.select('kek_id', 'status'));
    if (row === undefined) throw new SecretsError('ERR_SECRETS_NOT_FOUND', { context: { tenantId, keyId } });
    const columns = await change(trx, row, all);
    if (columns === undefined) return;
    await trx(env.tables.tenantKeys)
      .where({ tenant_id: tenantId, kek_id: keyId })
      .update(columns)
      .catch((error: unknown) => {
        // Another key became the active one meanwhile.
        if (!env.dialect.isUniqueViolation(error)) throw error;
        throw new SecretsError('ERR_SECRETS_DATABASE', { context: { tenantId, keyId }, retryable: true });
      });
    await env.audit.record(trx, { tenantId, actor, action, outcome: 'success', context: { key: keyId } });
  });
}

function unavailable({ tenantId, keyId }: KeyChange, state: string): SecretsError {
  return new SecretsError('ERR_SECRETS_KEY_UNAVAILABLE', { context: { tenantId, keyId, state } });
}
