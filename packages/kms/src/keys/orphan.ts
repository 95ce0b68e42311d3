import { DEFAULT_ALG } from '../algorithms.ts';
import type { BackendKey, KmsKeyRef } from '../provider.ts';
import type { OrphanKey } from './reconcile-report.ts';

/** @param asked the tenant whose keys were listed, where the backend keeps tenants apart */
export function orphanOf(providerId: string, key: BackendKey, asked: string | undefined, deleted: boolean): OrphanKey {
  const { externalId, name, tenantId = asked, keyId } = key;
  return { providerId, externalId, name, tenantId, keyId, deleted };
}

/** A reference to delete it by. A backend that records neither tenant nor key id deletes by its own id alone. */
export function orphanRef(providerId: string, key: BackendKey, asked: string | undefined): KmsKeyRef {
  const { externalId, tenantId = asked ?? 'orphan', keyId = 'orphan' } = key;
  return { tenantId, keyId, providerId, externalId, externalVersion: null, alg: DEFAULT_ALG };
}
