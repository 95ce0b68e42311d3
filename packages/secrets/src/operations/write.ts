import type { Keyring } from '@keywright/envelope';
import type { Knex } from 'knex';
import { v7 as uuidv7 } from 'uuid';
import { makeBinding } from '../binding.ts';
import { SecretsError } from '../errors.ts';
import { toMillis } from '../internal/time.ts';
import { sealVersion } from '../keys/data-key.ts';
import { factsOf, findForUpdate, requireForUpdate, type SecretRow, verifyAbsence, verifyBindings } from './rows.ts';
import type { Scope } from './scope.ts';

/** What a save or an update left behind. */
export interface SavedSecret {
  readonly id: string;
  readonly name: string;
  /** The version that is current now. */
  readonly version: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Checked input of a write. What is `undefined` stays as it is, or takes its default in a new secret. */
export interface WriteInput {
  readonly name: string;
  /** Encoded value; the caller wipes it. */
  readonly plaintext: Buffer | undefined;
  /** JSON text of the metadata, given what it is now. */
  readonly metadata: ((current: SecretRow | undefined) => string) | undefined;
  readonly authType: string | null | undefined;
}

/**
 * Creates a secret, or adds a version to the one of that name.
 * @throws SecretsError `ERR_SECRETS_ALREADY_EXISTS`, `ERR_SECRETS_INTEGRITY`
 */
export async function saveSecret(
  scope: Scope,
  trx: Knex,
  kek: Keyring,
  input: WriteInput & { readonly plaintext: Buffer },
  ifAbsent: boolean,
): Promise<SavedSecret> {
  const existing = await findForUpdate(scope, trx, input.name);
  if (existing === undefined) {
    await verifyAbsence(scope, trx, input.name, [kek]);
    const created = await createSecret(scope, trx, kek, input);
    if (created !== undefined) return created;
  }
  // Found, or created by another transaction between the look and the insert, which waited for it to commit.
  const row = existing ?? (await findForUpdate(scope, trx, input.name));
  if (row === undefined) throw new SecretsError('ERR_SECRETS_DATABASE', { retryable: true });
  if (ifAbsent) throw new SecretsError('ERR_SECRETS_ALREADY_EXISTS', { context: { tenantId: scope.tenantId } });
  await verifyBindings(scope, trx, [row], [kek]);
  return await changeSecret(scope, trx, kek, row, input);
}

/**
 * Changes a secret that exists.
 * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_INTEGRITY`
 */
export async function updateSecret(scope: Scope, trx: Knex, kek: Keyring, input: WriteInput): Promise<SavedSecret> {
  const row = await requireForUpdate(scope, trx, input.name, kek);
  return await changeSecret(scope, trx, kek, row, input);
}

/**
 * Marks a secret as deleted. Its name is free again; its versions stay until they are purged.
 * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_INTEGRITY`
 */
export async function deleteSecret(scope: Scope, trx: Knex, kek: Keyring, name: string): Promise<SecretRow> {
  const row = await requireForUpdate(scope, trx, name, kek);
  const now = new Date();
  await trx(scope.tables.secrets)
    .where({ tenant_id: scope.tenantId, id: row.id })
    .update({
      is_deleted: true,
      deleted_at: now,
      updated_at: now,
      binding: makeBinding(kek, { ...factsOf(scope, row), isDeleted: true }),
    });
  return row;
}

async function createSecret(
  scope: Scope,
  trx: Knex,
  kek: Keyring,
  input: WriteInput & { readonly plaintext: Buffer },
): Promise<SavedSecret | undefined> {
  const id = uuidv7();
  const now = new Date();
  const sealed = sealVersion(kek, { tenantId: scope.tenantId, secretId: id, version: 1 }, input.plaintext);
  const facts = {
    tenantId: scope.tenantId,
    id,
    name: input.name,
    currentVersion: 1,
    expiresAt: null,
    isDeleted: false,
  };
  const inserted = (await trx(scope.tables.secrets)
    .insert({
      tenant_id: scope.tenantId,
      id,
      name: input.name,
      auth_type: input.authType ?? null,
      metadata: input.metadata?.(undefined) ?? '{}',
      current_version: 1,
      binding: makeBinding(kek, facts),
      created_at: now,
      updated_at: now,
    })
    .onConflict(trx.raw('(tenant_id, name) where not is_deleted'))
    .ignore()
    .returning('id')) as readonly unknown[];
  if (inserted.length === 0) return undefined;
  await insertVersion(scope, trx, kek, id, 1, sealed, now);
  return { id, name: input.name, version: 1, createdAt: now, updatedAt: now };
}

async function changeSecret(
  scope: Scope,
  trx: Knex,
  kek: Keyring,
  row: SecretRow,
  input: WriteInput,
): Promise<SavedSecret> {
  const now = new Date();
  const { plaintext } = input;
  // Whatever can be refused comes before the first write: a caller may go on with its transaction.
  const metadata = input.metadata?.(row);
  const version = row.current_version + (plaintext === undefined ? 0 : 1);
  if (plaintext !== undefined) {
    const sealed = sealVersion(kek, { tenantId: scope.tenantId, secretId: row.id, version }, plaintext);
    await insertVersion(scope, trx, kek, row.id, version, sealed, now);
  }
  await trx(scope.tables.secrets)
    .where({ tenant_id: scope.tenantId, id: row.id })
    .update({
      current_version: version,
      binding: makeBinding(kek, { ...factsOf(scope, row), currentVersion: version }),
      updated_at: now,
      ...(metadata === undefined ? {} : { metadata }),
      ...(input.authType === undefined ? {} : { auth_type: input.authType }),
    });
  return { id: row.id, name: row.name, version, createdAt: new Date(toMillis(row.created_at)), updatedAt: now };
}

async function insertVersion(
  scope: Scope,
  trx: Knex,
  kek: Keyring,
  secretId: string,
  version: number,
  sealed: { readonly wrappedDek: Buffer; readonly ciphertext: Buffer },
  now: Date,
): Promise<void> {
  const inserted = (await trx(scope.tables.versions)
    .insert({
      tenant_id: scope.tenantId,
      secret_id: secretId,
      version,
      kek_id: kek.activeKid,
      wrapped_dek: sealed.wrappedDek,
      ciphertext: sealed.ciphertext,
      created_at: now,
      created_by: scope.actor,
    })
    .onConflict(['tenant_id', 'secret_id', 'version'])
    .ignore()
    .returning('version')) as readonly unknown[];
  // The next version is there already: the secret's row is an older one that somebody put back.
  if (inserted.length === 0) {
    throw new SecretsError('ERR_SECRETS_INTEGRITY', { context: { tenantId: scope.tenantId, secretId, version } });
  }
}
