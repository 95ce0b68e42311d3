import { isKeywrightError } from '@keywright/envelope';
import type { BackendKey, BackendKeyPage, CallOptions, KmsProvider } from '../provider.ts';
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
    first = await provider.listKeys({ ...call, limit: PAGE });
  } catch (error) {
    if (!asksForTenant(error)) throw error;
    for (let after: string | undefined; ; ) {
      const tenants = await places.tenants(provider.id, after, PAGE);
      for (const tenantId of tenants) {
        yield* pagesFrom(provider, await provider.listKeys({ ...call, tenantId, limit: PAGE }), tenantId, call);
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
    yield { tenantId, keys: page.keys };
    if (page.cursor === undefined) return;
    page = await provider.listKeys({ ...call, tenantId, cursor: page.cursor, limit: PAGE });
  }
}

function asksForTenant(error: unknown): boolean {
  return isKeywrightError(error) && error.code === 'ERR_KMS_INVALID_ARGUMENT' && error.context.argument === 'tenantId';
}
