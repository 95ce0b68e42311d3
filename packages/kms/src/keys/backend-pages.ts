import { isKeywrightError } from '@keywright/envelope';
import { KmsError } from '../errors.ts';
import type { BackendKey, BackendKeyPage, CallOptions, KmsProvider, ListKeysOptions } from '../provider.ts';
import { EXTERNAL_ID } from './key-record.ts';
import type { Places } from './places.ts';

/** Rows, or keys of a backend, that are looked at together. */
export const PAGE = 100;

export interface ListedKeys {
  /** Tenant whose keys were asked for, where the backend keeps tenants apart. */
  readonly tenantId: string | undefined;
  readonly keys: readonly BackendKey[];
}

/**
 * What a backend holds, page by page: all of it at once, or the keys of each tenant that has a row at this provider
 * where the backend keeps tenants apart, which it says by refusing to list without one.
 */
export async function* backendPages(
  provider: KmsProvider,
  places: Places,
  call: CallOptions,
): AsyncGenerator<ListedKeys> {
  let first: BackendKeyPage;
  try {
    first = await pageOf(provider, call);
  } catch (error) {
    if (!asksForTenant(error)) throw error;
    for (let after: string | undefined; ; ) {
      const tenants = await places.tenants(provider.id, after, PAGE);
      for (const tenantId of tenants) {
        yield* pagesFrom(provider, await pageOf(provider, { ...call, tenantId }), tenantId, call);
      }
      if (tenants.length < PAGE) return;
      after = tenants.at(-1);
    }
  }
  yield* pagesFrom(provider, first, undefined, call);
}

async function* pagesFrom(
  provider: KmsProvider,
  first: BackendKeyPage,
  tenantId: string | undefined,
  call: CallOptions,
): AsyncGenerator<ListedKeys> {
  for (let page = first; ; ) {
    for (let at = 0; at < page.keys.length; at += PAGE) yield { tenantId, keys: page.keys.slice(at, at + PAGE) };
    const { cursor } = page;
    if (cursor === undefined) return;
    page = await pageOf(provider, { ...call, tenantId, cursor });
    if (page.cursor === cursor) throw invalid('another page than the one before');
  }
}

/** A page whose ids a database takes: what it refuses would end the sweeps of all providers. */
async function pageOf(provider: KmsProvider, options: ListKeysOptions): Promise<BackendKeyPage> {
  const page = await provider.listKeys({ ...options, limit: PAGE });
  const isId = (id: unknown): boolean => typeof id === 'string' && EXTERNAL_ID.test(id);
  const isKey = ({ externalId, name }: BackendKey): boolean => isId(externalId) && (name === undefined || isId(name));
  if (page.keys.every(isKey)) return page;
  throw invalid('ids of at most 512 characters');
}

function invalid(expected: string): KmsError {
  return new KmsError('ERR_KMS_INVALID_RESPONSE', { context: { operation: 'listKeys', expected } });
}

function asksForTenant(error: unknown): boolean {
  return isKeywrightError(error) && error.code === 'ERR_KMS_INVALID_ARGUMENT' && error.context.argument === 'tenantId';
}
