import { KmsError } from '../errors.ts';
import type { CallOptions } from '../provider.ts';
import type { KeyDatabase } from './connection.ts';
import { finishDelete } from './finish-delete.ts';
import { type KeyProviders, providerOf } from './key-providers.ts';
import { refOf } from './key-record.ts';
import { KeyTable } from './key-table.ts';
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
  const began = await table.beginDelete({ tenantId, keyId, name: row.name }, row.external_id);
  if (!began) {
    // Deleted or moved by another call since it was read.
    const now = await table.find(tenantId, keyId, undefined);
    if (now === undefined || now.name !== row.name) return await goneOrOther(now === undefined, tenantId, keyId);
    throw notUsable(tenantId, keyId, now.status);
  }
  for (const copy of await places.leftovers(tenantId, keyId)) {
    await finishDelete(places, copy, providerOf(providers, copy.row.provider_id), options);
  }
  const place: Place = { table: 'keys', row: { ...row, status: 'deleting' } };
  await finishDelete(places, place, provider, options);
}

async function goneOrOther(gone: boolean, tenantId: string, keyId: string): Promise<void> {
  if (gone) return;
  throw notUsable(tenantId, keyId, 'moved');
}

function notUsable(tenantId: string, keyId: string, state: string): KmsError {
  return new KmsError('ERR_KMS_KEY_NOT_USABLE', { context: { tenantId, keyId, state } });
}
