import { KmsError } from '../errors.ts';
import type { CallOptions, KmsProvider } from '../provider.ts';
import type { KeyDatabase } from './connection.ts';
import { type KeyProviders, providerOf } from './key-providers.ts';
import { refOf } from './key-record.ts';
import { KeyTable } from './key-table.ts';
import { aboutKey, codeOf } from './outcome.ts';
import { type Place, Places } from './places.ts';

/**
 * Deletes a key: first its row says so, so that nobody signs with it any more; then its backend; last the row, once the
 * backend is clean. Called again after a failure, it goes on.
 */
export async function deleteKey(
  db: KeyDatabase,
  providers: KeyProviders,
  tenantId: string,
  keyId: string,
  options: CallOptions,
): Promise<void> {
  const places = new Places(db, 'delete');
  const table = new KeyTable(db);
  const row = await table.find(tenantId, keyId, undefined);
  if (row === undefined) throw new KmsError('ERR_KMS_KEY_NOT_FOUND', { context: { tenantId, keyId } });
  if (row.status === 'creating') throw notUsable(tenantId, keyId, row.status);
  refOf(row);
  const provider = providerOf(providers, row.provider_id);
  if (provider.capabilities.deleteKey === 'never') {
    const context = { provider: provider.id, operation: 'deleteKey', tenantId, keyId };
    throw new KmsError('ERR_KMS_UNSUPPORTED', { context });
  }
  if (!(await table.beginDelete(row))) {
    // Deleted or moved by another call since it was read.
    if ((await table.find(tenantId, keyId, undefined)) === undefined) return;
    throw notUsable(tenantId, keyId, 'moved');
  }
  for (const copy of await places.leftovers(tenantId, keyId)) {
    await finishDelete(places, copy, providerOf(providers, copy.row.provider_id), options);
  }
  const place: Place = { table: 'keys', row: { ...row, status: 'deleting' } };
  await finishDelete(places, place, provider, options);
}

/**
 * Deletes in its backend what the database says is to be deleted, then forgets it. Safe to do twice and by several at
 * once: a key that is gone is deleted.
 * @throws KmsError the backend's; the row stays and says how often it failed
 */
export async function finishDelete(
  places: Places,
  place: Place,
  provider: KmsProvider,
  options: CallOptions,
): Promise<void> {
  const ref = refOf(place.row);
  try {
    await provider.deleteKey(ref, options);
  } catch (error) {
    // The failure that is thrown is the backend's, whatever the database says to its being recorded.
    await places.failed(place, codeOf(error)).catch(() => undefined);
    throw aboutKey(error, ref, 'delete', { state: 'deleting' });
  }
  await places.drop(place, 'deleting');
}

function notUsable(tenantId: string, keyId: string, state: string): KmsError {
  return new KmsError('ERR_KMS_KEY_NOT_USABLE', { context: { tenantId, keyId, state } });
}
