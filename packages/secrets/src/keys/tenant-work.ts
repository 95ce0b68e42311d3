import { createHash } from 'node:crypto';
import type { Keyring } from '@keywright/envelope';
import type { Knex } from 'knex';
import type { AuditLog } from '../audit/audit-log.ts';
import type { AuditAction } from '../audit/event.ts';
import type { StoreCore } from '../core.ts';
import { SecretsError } from '../errors.ts';
import { type Lease, withLease } from '../internal/lease.ts';
import type { BatchEnvironment } from './batches.ts';
import type { TenantKeys } from './tenant-keys.ts';

const MAX_LEASE_NAME = 255;

// Every batch extends it. One that was killed keeps others out for no longer.
const LEASE_MS = 15_000;

/** What unfinished work on a tenant's keys has left for the call that goes on with it. */
export interface Unfinished {
  /** Id of the key that everything is being put under. */
  readonly rotatingTo?: string | undefined;
  readonly reencrypting?: Reencryption | undefined;
}

/** How far a re-encryption has come, and the last secret that it is about: later ones have fresh keys anyway. */
export interface Reencryption {
  readonly secretId: string;
  readonly version: number;
  readonly until: string;
}

/** Work on one tenant's keys, which one process at a time does. */
export class TenantWork implements BatchEnvironment {
  readonly tenantId: string;
  readonly actor: string;
  readonly knex: Knex;
  readonly dialect: BatchEnvironment['dialect'];
  readonly tables: BatchEnvironment['tables'];
  readonly audit: AuditLog;
  readonly tenantKeys: TenantKeys;
  readonly #lease: Lease;
  readonly #keys = new Map<string, Keyring>();
  #unfinished: Unfinished;

  constructor(core: StoreCore, knex: Knex, tenantId: string, actor: string, lease: Lease) {
    this.tenantId = tenantId;
    this.actor = actor;
    this.knex = knex;
    this.dialect = core.connections.dialect;
    this.tables = core.tables;
    this.audit = core.audit;
    this.tenantKeys = core.tenantKeys;
    this.#lease = lease;
    this.#unfinished = parsed(lease.state);
  }

  get unfinished(): Unfinished {
    return this.#unfinished;
  }

  /**
   * To be called first in every transaction of the work: it does not commit once another process has taken over.
   * @param next what is left to do from here on, where that changes
   * @throws SecretsError `ERR_SECRETS_LEASE_LOST`
   */
  async hold(trx: Knex, next?: Unfinished): Promise<void> {
    if (next === undefined) return await this.#lease.hold(trx);
    this.#unfinished = { ...this.#unfinished, ...next };
    await this.#lease.hold(trx, JSON.stringify(this.#unfinished));
  }

  /**
   * To be called in every transaction that writes what was made with keys: they may have been taken out of use meanwhile,
   * and one that nothing is under yet may have been destroyed.
   * @throws SecretsError `ERR_SECRETS_KEY_UNAVAILABLE`
   */
  async holdKeys(trx: Knex, to: Keyring, from: Iterable<string>): Promise<void> {
    await this.tenantKeys.holdAll(trx, this.tenantId, to.activeKid, [...new Set(from)]);
  }

  /**
   * The key that a row of a secret names, whatever it may still be used for.
   * @throws SecretsError `ERR_SECRETS_KEY_UNAVAILABLE`, `ERR_SECRETS_INTEGRITY` for a key that the tenant never had
   */
  async keyOf(kekId: string, secretId: string): Promise<Keyring> {
    const known = this.#keys.get(kekId);
    if (known !== undefined) return known;
    const { tenantId } = this;
    const [row] = await this.tenantKeys.find(this.knex, tenantId, [kekId]);
    if (row === undefined) throw new SecretsError('ERR_SECRETS_INTEGRITY', { context: { tenantId, secretId } });
    const found = await this.tenantKeys.unwrap(this.knex, row);
    this.#keys.set(kekId, found);
    return found;
  }

  async record(trx: Knex, action: AuditAction, context: Readonly<Record<string, string | number>>): Promise<void> {
    await this.audit.record(trx, { tenantId: this.tenantId, actor: this.actor, action, outcome: 'success', context });
  }
}

/**
 * Runs `work` while no other process works on this tenant's keys.
 * @throws SecretsError `ERR_SECRETS_LEASE_HELD`, `ERR_SECRETS_LEASE_LOST`
 */
export async function onTenantKeys<T>(
  core: StoreCore,
  knex: Knex,
  tenantId: string,
  actor: string,
  work: (work: TenantWork) => Promise<T>,
): Promise<T> {
  const env = { knex, dialect: core.connections.dialect, tables: core.tables };
  return await withLease(env, leaseName(tenantId), { ttlMs: LEASE_MS }, (lease) =>
    work(new TenantWork(core, knex, tenantId, actor, lease)),
  );
}

function leaseName(tenantId: string): string {
  const name = `tenant-keys:${tenantId}`;
  if (name.length <= MAX_LEASE_NAME) return name;
  return `tenant-keys#${createHash('sha256').update(tenantId).digest('base64url')}`;
}

function parsed(state: string | null): Unfinished {
  try {
    return (JSON.parse(state ?? '{}') ?? {}) as Unfinished;
  } catch {
    return {}; // edited by hand: begun anew
  }
}
