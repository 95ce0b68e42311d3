import type { EncryptionContext } from '../context.ts';
import { describe } from '../keywright-error.ts';
import type { ColumnPlace } from './column-codec.ts';
import { ColumnError } from './errors.ts';
import type { CheckedOptions } from './options.ts';

/** Stands before every column of a primary key, so that none can be taken for `table`, `column`, `kind` or `tenant`. */
const KEY_PREFIX = 'key.';

/**
 * What a value is bound to: `kind=column, table, column`, then `tenant`, then `key.<column>` for each column of the
 * primary key.
 *
 * @throws ColumnError `ERR_COLUMN_TENANT_MISSING`, `ERR_COLUMN_ROW_KEY_MISSING`, `ERR_COLUMN_ROW_KEY_INVALID`
 */
export function contextOf(codec: CheckedOptions, place: ColumnPlace | undefined): EncryptionContext {
  const context: Record<string, string> = { kind: 'column', table: codec.table, column: codec.column };
  const tenant = place?.tenant ?? codec.tenant;
  if (tenant !== undefined) context.tenant = tenantOf(codec, typeof tenant === 'function' ? tenant() : tenant);
  if (codec.binds === 'column') return context;
  const key: unknown = place?.key;
  if (typeof key !== 'object' || key === null || Object.keys(key).length === 0) {
    throw refused(codec, 'ERR_COLUMN_ROW_KEY_MISSING', describe(key));
  }
  for (const [column, value] of Object.entries(key)) context[`${KEY_PREFIX}${column}`] = keyText(codec, value);
  return context;
}

function tenantOf(codec: CheckedOptions, tenant: unknown): string {
  if (isName(tenant)) return tenant;
  throw refused(codec, 'ERR_COLUMN_TENANT_MISSING', describe(tenant));
}

/** Drivers give one and the same big integer as number, bigint or text; nothing else has a spelling of its own. */
function keyText(codec: CheckedOptions, value: unknown): string {
  if (value === undefined || value === null) throw refused(codec, 'ERR_COLUMN_ROW_KEY_MISSING', describe(value));
  if (isName(value)) return value;
  if (typeof value === 'bigint' || Number.isSafeInteger(value)) return String(value);
  throw refused(codec, 'ERR_COLUMN_ROW_KEY_INVALID', describe(value));
}

/** A text that can be bound to: not empty, and with a UTF-8 form. */
export function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.isWellFormed();
}

function refused(
  { table, column }: CheckedOptions,
  code: 'ERR_COLUMN_TENANT_MISSING' | 'ERR_COLUMN_ROW_KEY_MISSING' | 'ERR_COLUMN_ROW_KEY_INVALID',
  received: string,
): ColumnError {
  return new ColumnError(code, { context: { table, field: column, received } });
}
