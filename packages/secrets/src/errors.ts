import { KeywrightError, type KeywrightErrorOptions } from '@keywright/envelope';

const MESSAGES = {
  ERR_SECRETS_INVALID_ARGUMENT: 'An argument is missing or not of the form it must have. The context names it.',
  ERR_SECRETS_VALUE_TOO_LARGE:
    'The value is larger than the store takes. Keep large data elsewhere and its key here, or raise maxValueBytes.',
  ERR_SECRETS_NOT_FOUND:
    'This tenant has no such secret or version. Check the name with list(); a deleted secret is not found.',
  ERR_SECRETS_ALREADY_EXISTS:
    'A secret of this name exists. To add a version to it, save without ifAbsent; to rename or restore another, choose a free name.',
  ERR_SECRETS_VERSION_CONFLICT:
    'The secret is not at the expected version: somebody else changed it. Read it again and decide anew.',
  ERR_SECRETS_CAS_REQUIRED: 'This secret is changed only with expectedVersion. Pass the version that you have read.',
  ERR_SECRETS_VERSION_DESTROYED: 'This version was destroyed: its value is gone. Read or roll back to another version.',
  ERR_SECRETS_VALUE_NOT_JSON:
    'The secret is not a JSON object, so there is nothing to merge into. Save a new value instead.',
  ERR_SECRETS_EXPIRED:
    'The secret has expired: it is not read, and takes a new value only with a new expiresAt. Save it with one, or purge it.',
  ERR_SECRETS_INTEGRITY:
    'The stored secret is not what was saved under this tenant, name and version: it was changed, moved or damaged. Compare the audit log and restore it from a backup.',
  ERR_SECRETS_KEY_UNAVAILABLE:
    'The tenant key that this secret was encrypted under is disabled or destroyed. What a destroyed key encrypted cannot be read again.',
  ERR_SECRETS_ROOT_KEY_WRONG:
    'The root key is not the one this database was written with: an id that it knows now names another key. Configure the key that carried this id before; never reuse an id.',
  ERR_SECRETS_ROOT_KEY_MISSING:
    'The database holds keys under a root key that is not configured. Add that root key to the keyring, and keep it until rotateRoot() has retired it.',
  ERR_SECRETS_ROOT_UNAVAILABLE:
    'The holder of the root key did not answer in time or failed. Look at its health; nothing of this call was kept.',
  ERR_SECRETS_ROOT_KEY_RETIRED:
    'The active root key was retired by rotateRoot(): nothing is put under it any more. Make the root key active that was rotated to.',
  ERR_SECRETS_ROTATION_CONFLICT:
    'A rotation to another root key is under way, or the active root key changed during this one. Call again when it has ended; one that was killed is ended by calling with its key active, and gives way after 10 minutes.',
  ERR_SECRETS_ABORTED: "The caller's signal ended the call. What it had done by then was kept.",
  ERR_SECRETS_KEY_COLD:
    'The tenant key is not in memory and may not be unwrapped inside a transaction. Call tenant.warm() before it.',
  ERR_SECRETS_KEY_IN_USE:
    'Something still needs the tenant key. Rotate the tenant first; the report of retireKey() says what needs it.',
  ERR_SECRETS_LEASE_HELD:
    'Another process does this work now. Call again later; a process that was killed gives way within a minute.',
  ERR_SECRETS_LEASE_LOST:
    'Another process took this work over because this one was not heard of. What was committed was kept; call again.',
  ERR_SECRETS_SIGNER_MISSING: 'Checkpoints of the audit log need a signer. Pass audit.signer to createSecretStore().',
  ERR_SECRETS_SIGNER_UNAVAILABLE:
    'The signer of audit checkpoints did not answer in time, failed, or signed with another key than its public key. Look at its health; what was sealed is signed by the next seal().',
  ERR_SECRETS_SINK_FAILED:
    'A sink of the audit log failed or was too slow. Look at its health; it is given the same entries again.',
  ERR_SECRETS_NOT_SEALED:
    'No signed checkpoint covers this audit row yet. Call audit.seal(), or wait for the next one.',
  ERR_SECRETS_AUDIT_TAMPERED:
    'The audit log is not what was sealed. Run verify() for the first bad row, and compare with an exported checkpoint.',
  ERR_SECRETS_RLS_INEFFECTIVE:
    'Row-level security is asked for but does not hold for this role. Run the SQL of rowSecuritySql() and connect as the application role.',
  ERR_SECRETS_RLS_BLIND:
    'Work across tenants would see no rows under row-level security. Pass rowSecurity.maintenance, connected as the maintenance role.',
  ERR_SECRETS_CONFIGURATION:
    'An environment variable is missing or not of the form it must have. The context names it.',
  ERR_SECRETS_NOT_MIGRATED:
    'The tables of the secret store are missing or older than this release. Run store.migrate().',
  ERR_SECRETS_SCHEMA_NEWER:
    'The tables of the secret store are newer than this release. Upgrade @keywright/secrets in this service.',
  ERR_SECRETS_DATA_LOSS:
    'Undoing the migration would drop data; the context names a table that has some. Back it up, then pass allowDataLoss: true.',
  ERR_SECRETS_FOREIGN_TABLE:
    'A table of the same name exists that the secret store did not make. Choose another place with the tables option: { prefix } or { schema }.',
  ERR_SECRETS_UNSUPPORTED_DATABASE:
    'The secret store works on PostgreSQL (client "pg") and SQLite (client "better-sqlite3"). Pass a knex instance of one of them.',
  ERR_SECRETS_DATABASE_CLOSED:
    'The database connection is closed. Keep the knex instance open as long as the store is in use, or make a new store.',
  ERR_SECRETS_DATABASE_PERMISSION:
    'The database role may not do this, or the database file is read-only. Grant the role the privileges the store needs; migrations need CREATE on the schema.',
  ERR_SECRETS_DATABASE:
    'The database refused the statement or was lost in the middle of it. If the error is retryable, call again (inside a transaction of yours, run all of that again); if the answer to a commit was lost, the change may have been kept.',
} as const;

/** Stable codes of {@link SecretsError}. */
export type SecretsErrorCode = keyof typeof MESSAGES;

export interface SecretsErrorOptions extends KeywrightErrorOptions {
  /** @default false */
  readonly retryable?: boolean;
}

/** The secret store refused a call or could not carry it out. */
export class SecretsError extends KeywrightError<SecretsErrorCode> {
  constructor(code: SecretsErrorCode, options: SecretsErrorOptions = {}) {
    super(code, MESSAGES[code], options.retryable ?? false, options);
  }
}
// Not in a static block: bundlers rename a class that speaks of itself.
Object.defineProperty(SecretsError.prototype, 'name', { value: 'SecretsError' });
