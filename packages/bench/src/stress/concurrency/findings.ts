import type { Keyring } from '@keywright/envelope';
import type { Knex } from 'knex';
import { openText, type TenantKeyRow, unwrapTenantKey } from '../../store/rows.ts';
import type { OperationRow } from './audited.ts';
import type { StoredSecret, StoredVersion } from './history.ts';

/** What the database holds in the end, read without the store and decrypted by what is not the store's code. */
export interface Findings {
  readonly secrets: readonly StoredSecret[];
  readonly versions: readonly StoredVersion[];
  readonly auditRows: readonly OperationRow[];
}

interface SecretRow {
  readonly tenant_id: string;
  readonly id: string;
  readonly name: string;
  readonly current_version: number;
}

interface VersionRow {
  readonly tenant_id: string;
  readonly secret_id: string;
  readonly version: number;
  readonly kek_id: string;
  readonly wrapped_dek: Buffer;
  readonly ciphertext: Buffer;
}

interface AuditRow {
  readonly payload: Buffer;
  readonly action: string;
  readonly outcome: string;
  readonly secret_id: string | null;
  readonly version: number | null;
}

export async function findingsIn(knex: Knex, root: Keyring): Promise<Findings> {
  const keys = new Map<string, Keyring>();
  for (const row of (await knex('secret_tenant_keys').whereNotNull('wrapped')) as TenantKeyRow[]) {
    keys.set(row.kek_id, await unwrapTenantKey(root, row));
  }
  const secrets = (await knex('secrets')) as SecretRow[];
  const versions = (await knex('secret_versions')) as VersionRow[];
  const audited = (await knex('secret_audit_log').whereNotNull('payload')) as AuditRow[];
  return {
    secrets: secrets.map((row) => ({
      tenant: row.tenant_id,
      secretId: row.id,
      name: row.name,
      currentVersion: row.current_version,
    })),
    versions: versions.map((row) => storedVersion(keys, row)),
    auditRows: audited.map((row) => ({
      operation: (JSON.parse(row.payload.toString()) as { operation: string }).operation,
      action: row.action,
      outcome: row.outcome,
      secretId: row.secret_id,
      version: row.version,
    })),
  };
}

function storedVersion(keys: ReadonlyMap<string, Keyring>, row: VersionRow): StoredVersion {
  const at = { tenant: row.tenant_id, secretId: row.secret_id, version: row.version };
  const kek = keys.get(row.kek_id);
  if (kek === undefined) throw new Error(`Version ${row.version} of ${row.secret_id} is under a key that is gone.`);
  return { ...at, value: openText(kek, at, { wrappedDek: row.wrapped_dek, ciphertext: row.ciphertext }) };
}
