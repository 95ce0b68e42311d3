import { isKeywrightError } from '@keywright/envelope';
import type { Knex } from 'knex';
import { checkTenantId, checkText, invalidArgument, kindOf, readOptions, SYSTEM_TENANT } from '../arguments.ts';
import type { AuditAction } from '../audit/event.ts';
import type { StoreCore } from '../core.ts';
import { SecretsError } from '../errors.ts';
import { databaseError, typed } from '../internal/database-error.ts';
import { isRefusal } from '../operations/refusals.ts';
import { keysetByName, type ListOptions } from '../pagination.ts';
import { observed } from '../telemetry/observed.ts';
import type { BatchEnvironment } from './batches.ts';
import { type KeyName, type KeyReport, reportTenantKey, retireRootKey, type TenantKeyName } from './key-report.ts';
import { destroyKey, disableKey, enableKey, type KeyChange } from './key-states.ts';
import { checkKeyWork } from './progress.ts';
import { type Reencrypted, type ReencryptTenantOptions, reencryptTenant } from './reencrypt-tenant.ts';
import { verifyRootKeys } from './root-keys.ts';
import { type AuditKeyRotation, rotateAuditKey } from './rotate-audit-key.ts';
import { type RootRotation, type RotateRootOptions, rotateRoot } from './rotate-root.ts';
import { type RotateTenantOptions, rotateTenant, type TenantRotation } from './rotate-tenant.ts';
import { receiptOf, type ShredReceipt } from './shred-receipt.ts';
import { checkShred, type ShredTenantOptions, shredTenant } from './shred-tenant.ts';
import { onTenantKeys, type TenantWork } from './tenant-work.ts';

/** Who asks for something that has no other options. */
export interface KeyActorOptions {
  /** Who asks, as the audit log names them. */
  readonly actor: string;
}

/** Options of `retireKey()`: who asks, and which page of the tenants. */
export interface RetireKeyOptions extends KeyActorOptions, ListOptions {}

interface Operation {
  readonly name: string;
  readonly action: AuditAction;
  readonly tenantId: string;
  readonly actor: string;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Work on the keys of a store: checked, typed in what it throws, and audited where it is refused. */
export class KeyOperations {
  readonly #core: StoreCore;

  constructor(core: StoreCore) {
    this.#core = core;
  }

  async rotateRoot(options: RotateRootOptions): Promise<RootRotation> {
    const work = checkKeyWork(options);
    const { tables, root, rootTimeoutMs } = this.#core;
    return await this.#run(
      { name: 'rotateRoot', action: 'root.rotate', tenantId: SYSTEM_TENANT, actor: work.actor },
      async (env) => {
        // The store may have been opened before the key was activated.
        await verifyRootKeys(env.knex, tables, root, rootTimeoutMs);
        return await rotateRoot({ ...this.#core, ...env }, work);
      },
    );
  }

  async rotateTenant(tenantId: string, options: RotateTenantOptions): Promise<TenantRotation> {
    const work = checkKeyWork(options);
    return await this.#onTenant('rotateTenant', 'tenant.rotate', tenantId, work.actor, (tenant) =>
      rotateTenant(tenant, work),
    );
  }

  async reencryptTenant(tenantId: string, options: ReencryptTenantOptions): Promise<Reencrypted> {
    const work = checkKeyWork(options);
    return await this.#onTenant('reencryptTenant', 'tenant.reencrypt', tenantId, work.actor, (tenant) =>
      reencryptTenant(tenant, work),
    );
  }

  async shredTenant(tenantId: string, options: ShredTenantOptions): Promise<ShredReceipt> {
    const checked = checkShred(tenantId, options);
    const { signer } = this.#core.options.audit ?? {};
    return await this.#onTenant('shredTenant', 'tenant.shred', tenantId, checked.actor, async (tenant) => {
      return await receiptOf(await shredTenant(tenant, checked.backupHorizonDays), signer);
    });
  }

  async retireKey(key: KeyName, options: RetireKeyOptions): Promise<KeyReport> {
    const { actor, page } = readOptions(options ?? null, 'options', (given) => ({
      actor: checkText(given.actor, 'actor'),
      page: { limit: given.limit, cursor: given.cursor },
    }));
    const keyset = keysetByName(page);
    const about = typeof key === 'string' ? checkText(key, 'key') : checkTenantKey(key);
    const tenantId = typeof about === 'string' ? SYSTEM_TENANT : about.tenantId;
    const operation: Operation = { name: 'retireKey', action: 'tenant-key.retire', tenantId, actor };
    return await this.#run(operation, async (env) =>
      typeof about === 'string'
        ? await retireRootKey({ ...this.#core, ...env }, about, actor, keyset)
        : await reportTenantKey(env, about.tenantId, about.keyId),
    );
  }

  async disableKey(key: TenantKeyName, options: KeyActorOptions): Promise<void> {
    await this.#change('disableKey', 'tenant-key.disable', key, options, disableKey);
  }

  async enableKey(key: TenantKeyName, options: KeyActorOptions): Promise<void> {
    await this.#change('enableKey', 'tenant-key.enable', key, options, enableKey);
  }

  async destroyKey(key: TenantKeyName, options: KeyActorOptions): Promise<void> {
    await this.#change('destroyKey', 'tenant-key.destroy', key, options, destroyKey);
  }

  async rotateAuditKey(options: KeyActorOptions): Promise<AuditKeyRotation> {
    const actor = checkActor(options);
    const operation: Operation = { name: 'rotateAuditKey', action: 'tenant.rotate', tenantId: SYSTEM_TENANT, actor };
    return await this.#run(operation, ({ knex }) =>
      onTenantKeys(this.#core, knex, SYSTEM_TENANT, actor, rotateAuditKey),
    );
  }

  async #change(
    name: string,
    action: AuditAction,
    key: TenantKeyName,
    options: KeyActorOptions,
    change: (env: BatchEnvironment & Pick<StoreCore, 'audit'>, change: KeyChange) => Promise<void>,
  ): Promise<void> {
    const about = checkTenantKey(key);
    const actor = checkActor(options);
    await this.#run({ name, action, tenantId: about.tenantId, actor }, (env) =>
      change({ ...this.#core, ...env }, { ...about, actor }),
    );
    this.#core.tenantKeys.forget(about.tenantId, [about.keyId]);
  }

  async #onTenant<T>(
    name: string,
    action: AuditAction,
    tenantId: string,
    actor: string,
    work: (tenant: TenantWork) => Promise<T>,
  ): Promise<T> {
    checkTenantId(tenantId);
    return await this.#run({ name, action, tenantId, actor }, ({ knex }) =>
      onTenantKeys(this.#core, knex, tenantId, actor, work),
    );
  }

  /** Throws nothing but typed errors, and audits those that are refusals. */
  async #run<T>(operation: Operation, work: (env: BatchEnvironment) => Promise<T>): Promise<T> {
    const { connections, options } = this.#core;
    const { action, tenantId } = operation;
    const database = connections.dialect.name;
    if (options.telemetry === undefined) return await this.#runOnce(operation, work);
    return await observed(options.telemetry, { action, tenantId, database }, () => this.#runOnce(operation, work));
  }

  async #runOnce<T>(operation: Operation, work: (env: BatchEnvironment) => Promise<T>): Promise<T> {
    const { connections, tables } = this.#core;
    await this.#core.ready(undefined);
    try {
      const knex: Knex = await connections.sweeping();
      return await work({ knex, dialect: connections.dialect, tables });
    } catch (thrown) {
      const error = databaseError(thrown, operation.name);
      if (isRefusal(error)) await typed(operation.name, () => this.#refuse(operation, error));
      throw error;
    }
  }

  async #refuse({ action, tenantId, actor }: Operation, error: unknown): Promise<void> {
    if (!isKeywrightError(error)) return;
    const { code, context } = error;
    const about = { tenant: context.tenantId, key: context.keyId, kid: context.kid };
    const facts = Object.entries(about).filter(([, fact]) => fact !== undefined);
    const secretId = typeof context.secretId === 'string' ? context.secretId : undefined;
    const version = typeof context.version === 'number' ? context.version : undefined;
    await this.#core.connections.outside(undefined, tenantId, (db) =>
      this.#core.audit.record(db, {
        tenantId,
        actor,
        action,
        outcome: 'refused',
        secretId,
        version,
        context: { code, ...(Object.fromEntries(facts) as Record<string, string | number>) },
      }),
    );
    if (code === 'ERR_SECRETS_INTEGRITY') this.#core.logger?.error(`${action} refused: ${code}`);
  }
}

function checkActor(options: KeyActorOptions | undefined): string {
  return readOptions(options ?? (null as never), 'options', (given: Partial<KeyActorOptions>) =>
    checkText(given.actor, 'actor'),
  );
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`, `ERR_SECRETS_NOT_FOUND` for what is no key's id */
function checkTenantKey(key: TenantKeyName): TenantKeyName {
  if (typeof key !== 'object' || key === null) {
    throw invalidArgument('key', 'a tenant key: { tenantId, keyId }', kindOf(key));
  }
  const { tenantId, keyId } = readOptions(key, 'key', (given) => ({
    tenantId: checkTenantId(given.tenantId),
    keyId: checkText(given.keyId, 'keyId'),
  }));
  if (UUID.test(keyId)) return { tenantId, keyId };
  throw new SecretsError('ERR_SECRETS_NOT_FOUND', { context: { tenantId } });
}
