import type { Knex } from 'knex';
import { SecretsError } from '../errors.ts';
import { isPlainObject } from '../internal/plain-json.ts';
import { asRow } from '../internal/rows.ts';
import { openPlaintext } from '../keys/data-key.ts';
import { KEK_COLUMNS, type TenantKeyRow } from '../keys/tenant-keys.ts';
import { mergePatch } from '../merge-patch.ts';
import { decodeValue, encodeValue } from '../value.ts';
import { refuseExpired } from './plan.ts';
import { edited, notFound, type SecretRow } from './rows.ts';
import type { Scope } from './scope.ts';

interface StoredVersion extends TenantKeyRow {
  readonly wrapped_dek: Buffer | null;
  readonly ciphertext: Buffer | null;
  readonly destroyed_at: unknown;
}

/**
 * The plaintext of a version, for a new version to be made of; the caller wipes it.
 *
 * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_EXPIRED`, `ERR_SECRETS_VERSION_DESTROYED`,
 * `ERR_SECRETS_KEY_UNAVAILABLE`, `ERR_SECRETS_INTEGRITY`
 */
export async function readPlaintext(scope: Scope, trx: Knex, row: SecretRow, version: number): Promise<Buffer> {
  refuseExpired(scope, row);
  const { tenantId, tables } = scope;
  const context = { tenantId, secretId: row.id, version };
  const stored = asRow<StoredVersion>(
    await trx({ v: tables.versions })
      .leftJoin({ k: tables.tenantKeys }, (on) => {
        on.on('k.tenant_id', 'v.tenant_id').andOn('k.kek_id', 'v.kek_id');
      })
      .where({ 'v.tenant_id': tenantId, 'v.secret_id': row.id, 'v.version': version })
      .first('v.wrapped_dek', 'v.ciphertext', 'v.destroyed_at', ...KEK_COLUMNS.map((column) => `k.${column}`)),
  );
  if (stored === undefined) throw version === row.current_version ? edited(scope, row) : notFound(scope);
  if (stored.destroyed_at !== null) throw new SecretsError('ERR_SECRETS_VERSION_DESTROYED', { context });
  if (stored.wrapped_dek === null || stored.ciphertext === null) throw edited(scope, row);
  const kek = await scope.tenantKeys.unwrap(trx, stored);
  return openPlaintext(kek, context, { wrappedDek: stored.wrapped_dek, ciphertext: stored.ciphertext });
}

/**
 * A JSON object with a patch merged into it (RFC 7396), as a plaintext.
 * @throws SecretsError `ERR_SECRETS_VALUE_NOT_JSON`, `ERR_SECRETS_VALUE_TOO_LARGE`
 */
export function mergedPlaintext(scope: Scope, row: SecretRow, current: Buffer, patch: string): Buffer {
  const decoded = decodeValue(current);
  if (decoded?.type === 'json' && isPlainObject(decoded.value)) {
    const merged = mergePatch(decoded.value, JSON.parse(patch) as Record<string, unknown>);
    return encodeValue(merged, scope.maxValueBytes);
  }
  throw new SecretsError('ERR_SECRETS_VALUE_NOT_JSON', { context: { tenantId: scope.tenantId, secretId: row.id } });
}
