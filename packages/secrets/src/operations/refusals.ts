import type { KeywrightError } from '@keywright/envelope';

// What the store decided, as opposed to what it could not ask the database. Arguments are checked before an operation
// starts, so one that is refused in it was refused for what is stored: metadata that grew too large, for instance.
const REFUSALS: ReadonlySet<string> = new Set([
  'ERR_SECRETS_ALREADY_EXISTS',
  'ERR_SECRETS_AUDIT_TAMPERED',
  'ERR_SECRETS_CAS_REQUIRED',
  'ERR_SECRETS_EXPIRED',
  'ERR_SECRETS_INTEGRITY',
  'ERR_SECRETS_INVALID_ARGUMENT',
  'ERR_SECRETS_KEY_IN_USE',
  'ERR_SECRETS_KEY_COLD',
  'ERR_SECRETS_KEY_UNAVAILABLE',
  'ERR_SECRETS_LEASE_HELD',
  'ERR_SECRETS_NOT_FOUND',
  'ERR_SECRETS_ROOT_KEY_MISSING',
  'ERR_SECRETS_ROOT_KEY_RETIRED',
  'ERR_SECRETS_ROOT_KEY_WRONG',
  'ERR_SECRETS_ROOT_UNAVAILABLE',
  'ERR_SECRETS_ROTATION_CONFLICT',
  'ERR_SECRETS_VALUE_NOT_JSON',
  'ERR_SECRETS_VALUE_TOO_LARGE',
  'ERR_SECRETS_VERSION_CONFLICT',
  'ERR_SECRETS_VERSION_DESTROYED',
]);

/** Whether an operation that ended so is audited as refused. */
export function isRefusal({ code }: KeywrightError): boolean {
  return REFUSALS.has(code) || code.startsWith('ERR_KEYRING_') || code.startsWith('ERR_ENVELOPE_');
}
