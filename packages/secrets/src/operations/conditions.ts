import { SecretsError } from '../errors.ts';
import type { SecretRow } from './rows.ts';
import type { Scope } from './scope.ts';

/**
 * Compare-and-set: `expected` is the version that the caller has read, 0 for none, `undefined` for whatever it is.
 * @throws SecretsError `ERR_SECRETS_VERSION_CONFLICT`, `ERR_SECRETS_CAS_REQUIRED`
 */
export function checkCondition(
  scope: Scope,
  row: Pick<SecretRow, 'id' | 'current_version' | 'cas_required'> | undefined,
  expected: number | undefined,
): void {
  const { tenantId } = scope;
  const current = row?.current_version ?? 0;
  if (expected !== undefined && expected !== current) {
    throw new SecretsError('ERR_SECRETS_VERSION_CONFLICT', {
      context: { tenantId, expected, ...(row === undefined ? {} : { secretId: row.id, version: current }) },
    });
  }
  if (expected === undefined && row?.cas_required) {
    throw new SecretsError('ERR_SECRETS_CAS_REQUIRED', { context: { tenantId, secretId: row.id, version: current } });
  }
}
