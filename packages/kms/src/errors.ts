import { KeywrightError, type KeywrightErrorOptions } from '@keywright/envelope';

const MESSAGES = {
  ERR_KMS_INVALID_ARGUMENT: 'An argument is missing or not of the form it must have. The context names it.',
  ERR_KMS_CONFIG:
    'The KMS configuration is refused. The context names the field by its path and says what is expected there.',
  ERR_KMS_CONFIG_UNREADABLE:
    'The KMS configuration could not be read, or is not JSON. Correct the file; without one, a single db provider is used.',
  ERR_KMS_CONFIG_REFERENCE:
    'A placeholder or reference in the KMS configuration leads nowhere: the variable is unset or the file cannot be read. The context names field and variable; set it, or give the placeholder a default.',
  ERR_KMS_PROVIDER_UNKNOWN:
    'No KMS provider of this id is configured. Nothing else is tried: a key is used by the provider that made it. Configure that provider under the same id.',
  ERR_KMS_UNSUPPORTED:
    'This KMS provider cannot do that, or not with keys of this algorithm. Its capabilities say what it can do.',
  ERR_KMS_KEY_NOT_FOUND:
    'There is no such key, or its backend no longer holds it. Run reconcile() for what the backend holds and the database does not know.',
  ERR_KMS_KEY_EXISTS: 'A key of this id exists. Choose another id; keys are never replaced.',
  ERR_KMS_KEY_NOT_USABLE:
    'The key is not usable in the state it is in: being made, being deleted, disabled, or made for another use. Look at it in the backend, or make another.',
  ERR_KMS_KEY_MISMATCH:
    'The backend holds another key than the one recorded: their public keys differ. Nothing was signed or changed; find out who replaced it.',
  ERR_KMS_DENIED:
    'The backend knows who asks and refuses it. Grant this identity the operation on this key; nothing is retried.',
  ERR_KMS_CREDENTIALS:
    'The backend refuses the credentials: a wrong PIN, an expired or revoked token, a wrong signature or a wrong clock. Correct them; they are not tried again, so that nothing is locked.',
  ERR_KMS_PIN_LOCKED:
    'The token has locked its PIN, or it was refused before and is not tried again. Unlock it with the security officer, correct the PIN and restart.',
  ERR_KMS_THROTTLED: 'The backend is asked too often and did nothing. Call again later, or raise its quota.',
  ERR_KMS_UNAVAILABLE: 'The backend cannot be reached or is not ready. Look at its health; the call may be made again.',
  ERR_KMS_TIMEOUT:
    'The backend did not answer in time. Call again; if this was a create, reconcile() finds what it may have made.',
  ERR_KMS_ABORTED: "The caller's signal ended the call. What was asked of the backend by then may have been done.",
  ERR_KMS_INVALID_RESPONSE:
    'The backend answered with something that is no answer to the question. Look at the address and at what stands between.',
  ERR_KMS_BACKEND:
    'The backend refused the call for a reason of its own. rawCause(error) returns what it said; nothing was retried.',
  ERR_KMS_LIBRARY_MISSING:
    'The library of the provider could not be loaded. Install it, or correct its path; the context names the driver.',
  ERR_KMS_CLOSED: 'The provider or registry is closed. Make a new one, and close it last.',
  ERR_KMS_SIGNATURE_MALFORMED: 'The signature does not have the form that its algorithm gives it.',
  ERR_KMS_NOT_MIGRATED: 'The tables of @keywright/kms are missing or older than this release. Run migrate() first.',
  ERR_KMS_SCHEMA_NEWER: 'The tables of @keywright/kms are newer than this release. Upgrade it in this service.',
  ERR_KMS_FOREIGN_TABLE:
    'A table of the same name exists that @keywright/kms did not make. Choose another place with the tables option: { prefix } or { schema }.',
  ERR_KMS_UNSUPPORTED_DATABASE:
    'Key tables work on PostgreSQL (client "pg") and SQLite (client "better-sqlite3"). Pass a knex instance of one of them.',
  ERR_KMS_DATABASE:
    'The database refused the statement or was lost in the middle of it. If the error is retryable, call again.',
  ERR_KMS_IN_TRANSACTION:
    'Keys are made, deleted and moved in a backend that no rollback reaches, so their rows are committed at once. Make the key table with a knex instance that is no transaction.',
  ERR_KMS_INTEGRITY:
    'The stored key is not what was saved for this tenant, provider and key: it was changed, moved or damaged, or belongs to another root key. Restore it from a backup.',
} as const;

/** Stable codes of {@link KmsError}. */
export type KmsErrorCode = keyof typeof MESSAGES;

export interface KmsErrorOptions extends KeywrightErrorOptions {
  /** @default whether the code is one of `_THROTTLED`, `_UNAVAILABLE`, `_TIMEOUT` */
  readonly retryable?: boolean;
}

const RETRYABLE: ReadonlySet<KmsErrorCode> = new Set(['ERR_KMS_THROTTLED', 'ERR_KMS_UNAVAILABLE', 'ERR_KMS_TIMEOUT']);

/** A KMS provider, its configuration or its tables refused a call or could not carry it out. */
export class KmsError extends KeywrightError<KmsErrorCode> {
  constructor(code: KmsErrorCode, options: KmsErrorOptions = {}) {
    super(code, MESSAGES[code], options.retryable ?? RETRYABLE.has(code), options);
  }
}
// Not in a static block: bundlers rename a class that speaks of itself.
Object.defineProperty(KmsError.prototype, 'name', { value: 'KmsError' });

/** The constant message of a code, for reports that hold errors as text. */
export function messageOf(code: KmsErrorCode): string {
  return MESSAGES[code];
}
