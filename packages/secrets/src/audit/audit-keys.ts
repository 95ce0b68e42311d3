import { isKeywrightError } from '@keywright/envelope';
import type { Knex } from 'knex';
import { SYSTEM_TENANT } from '../arguments.ts';
import type { Connections } from '../connections.ts';
import type { TenantKeys } from '../keys/tenant-keys.ts';
import type { AuditLog } from './audit-log.ts';
import { auditKeyId } from './canonical.ts';
import type { AuditRow } from './row.ts';

/**
 * Finds the keys that rows were authenticated with: the log outlives its keys, and another process may already write
 * with one that this process has not seen.
 */
export class AuditKeys {
  readonly #connections: Connections;
  readonly #tenantKeys: TenantKeys;
  readonly #audit: AuditLog;

  constructor(connections: Connections, tenantKeys: TenantKeys, audit: AuditLog) {
    this.#connections = connections;
    this.#tenantKeys = tenantKeys;
    this.#audit = audit;
  }

  /** To be awaited before the authenticity of these rows is judged. */
  async load(db: Knex, rows: readonly Pick<AuditRow, 'mac'>[]): Promise<void> {
    const missing = new Set<string>();
    for (const row of rows) {
      const kid = auditKeyId(row);
      if (kid !== undefined && !this.#audit.knows(kid)) missing.add(kid);
    }
    if (missing.size === 0) return;
    await this.#connections.scoped(db, SYSTEM_TENANT, async (inside) => {
      for (const found of await this.#tenantKeys.find(inside, SYSTEM_TENANT, [...missing])) {
        try {
          this.#audit.addKey(await this.#tenantKeys.unwrap(inside, found));
        } catch (error) {
          // A key that is gone, or a row that somebody planted: what names it is not authentic. Anything else may pass.
          if (!isKeywrightError(error) || !UNUSABLE.has(error.code)) throw error;
        }
      }
    });
  }
}

const UNUSABLE: ReadonlySet<string> = new Set(['ERR_SECRETS_KEY_UNAVAILABLE', 'ERR_SECRETS_INTEGRITY']);
