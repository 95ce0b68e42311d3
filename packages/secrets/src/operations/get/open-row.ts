import type { Keyring } from '@keywright/envelope';
import type { Knex } from 'knex';
import { bindingKekId, bindingMatches } from '../../binding.ts';
import { SecretsError } from '../../errors.ts';
import { retried } from '../../internal/retried.ts';
import { openVersion } from '../../keys/data-key.ts';
import { makeSecret, type Secret } from '../../secret.ts';
import { edited, factsOf, infoOf, verifyBindings } from '../rows.ts';
import type { Scope } from '../scope.ts';
import type { FoundRow } from './found-row.ts';

/**
 * Checks the pointers of a secret that was read, and decrypts it.
 * @throws SecretsError `ERR_SECRETS_INTEGRITY`, `ERR_SECRETS_KEY_UNAVAILABLE`, and as a root key does that is asked
 */
export async function openRow(scope: Scope, trx: Knex.Transaction | undefined, row: FoundRow): Promise<Secret> {
  const { connections } = scope;
  const kek = scope.tenantKeys.recall(connections.raw(trx), row) ?? (await unwrapKek(scope, trx, row));
  if (bindingKekId(row.binding) !== kek.activeKid) {
    // An old version, under an earlier key than the pointers.
    await readAgain(scope, trx, (db) => verifyBindings(scope, db, [row], [kek]));
  } else if (!bindingMatches(kek, row.binding, factsOf(scope, row))) {
    throw edited(scope, row);
  }
  return decryptRow(scope, kek, row);
}

/** No statement is open while a root key is asked that may be remote. */
async function unwrapKek(scope: Scope, trx: Knex.Transaction | undefined, row: FoundRow): Promise<Keyring> {
  const { connections, tenantKeys, tenantId } = scope;
  const [key] = await readAgain(scope, trx, (db) => tenantKeys.find(db, tenantId, [row.kek_id]));
  if (key !== undefined) return await tenantKeys.unwrap(connections.raw(trx), key);
  throw new SecretsError('ERR_SECRETS_KEY_UNAVAILABLE', { context: { tenantId, keyId: row.kek_id } });
}

/** The row was audited when it was read: of what the database undoes, only this is done again. */
export async function readAgain<T>(
  { connections, tenantId }: Scope,
  trx: Knex.Transaction | undefined,
  work: (db: Knex) => Promise<T>,
): Promise<T> {
  const read = (): Promise<T> => connections.read(trx, tenantId, work);
  return await (trx === undefined ? retried(read) : read());
}

/** @throws SecretsError `ERR_SECRETS_INTEGRITY` */
export function decryptRow(scope: Scope, kek: Keyring, row: FoundRow): Secret {
  const { type, value } = openVersion(
    kek,
    { tenantId: scope.tenantId, secretId: row.id, version: row.version },
    { wrappedDek: row.wrapped_dek, ciphertext: row.ciphertext },
  );
  return makeSecret(infoOf(scope, row), row.version, type, value);
}
