import { AsyncLocalStorage } from 'node:async_hooks';
import { describe } from '../keywright-error.ts';
import { ColumnError } from './errors.ts';
import { isName } from './place.ts';

/** What hooks that see only a value are told of the request they serve. */
export interface ColumnScope {
  readonly tenant: string;
}

const scopes = new AsyncLocalStorage<ColumnScope>();

/**
 * Runs `work` for a tenant: whatever it starts, synchronously or not, gets it from {@link tenantFromContext}. An inner
 * scope replaces the outer one until it ends.
 *
 * Await a query inside the scope. Some libraries start it when it is awaited, and out there is no tenant.
 *
 * @throws ColumnError `ERR_COLUMN_TENANT_MISSING` for a tenant that is no text or empty
 *
 * @example
 * ```ts
 * import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
 * import { columnCodec, tenantFromContext, withContext } from '@keywright/envelope/columns';
 *
 * const keyring = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
 * const notes = columnCodec({
 *   keyring,
 *   table: 'notes',
 *   column: 'body',
 *   payload: 'text',
 *   binds: 'column',
 *   tenant: tenantFromContext,
 * });
 * await withContext({ tenant: 'acme' }, async () => notes.encode('for acme only'));
 * ```
 */
export function withContext<T>(scope: ColumnScope, work: () => T): T {
  const tenant: unknown = scope?.tenant;
  if (!isName(tenant)) throw missing(describe(tenant));
  return scopes.run(Object.freeze({ tenant }), work);
}

/**
 * The tenant of the innermost {@link withContext}; give it to a codec as `tenant`.
 * @throws ColumnError `ERR_COLUMN_TENANT_MISSING` outside of any
 */
export function tenantFromContext(): string {
  const scope = scopes.getStore();
  if (scope === undefined) throw missing('no context');
  return scope.tenant;
}

function missing(received: string): ColumnError {
  return new ColumnError('ERR_COLUMN_TENANT_MISSING', { context: { argument: 'tenant', received } });
}
