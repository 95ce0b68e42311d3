import type { ColumnCodec } from '../columns/column-codec.ts';
import { invalid } from '../columns/options.ts';
import { isName } from '../columns/place.ts';
import { describe } from '../keywright-error.ts';
import { checkCodec } from './encrypted-columns.ts';

/** What the `customType` of any of Drizzle's dialects takes. */
export interface EncryptedCustomType<T> {
  /** It sees no row: two rows of the column can be swapped unnoticed. */
  readonly binds: 'column';
  dataType(): string;
  toDriver(value: T): unknown;
  fromDriver(stored: unknown): T;
}

/**
 * The argument of Drizzle's `customType`, of whichever dialect.
 *
 * A custom type sees a value and nothing else, so values are bound to table, column and tenant (`tenant:
 * tenantFromContext`), but **not to their row**: whoever can write the table can swap two rows. A comparison with the
 * column finds nothing, because no two ciphertexts are alike, and its negation everything. SQL in place of a value
 * (`sql`…``), and an insert from a select of another table, are **written in the clear**, and refused when read; a column
 * inside of `sql`…`` is handed out as it is stored. A relational query (`with`) carries rows as JSON, which has no bytes: for it, encrypt into text.
 *
 * @param dataType SQL type of the column, which must fit the codec's storage
 * @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT` for a codec that binds the row
 *
 * @example
 * ```ts
 * import { keyringFromEnv } from '@keywright/envelope';
 * import { drizzleType } from '@keywright/envelope/codecs/drizzle';
 * import { columnCodec, tenantFromContext } from '@keywright/envelope/columns';
 * import { customType, sqliteTable, text } from 'drizzle-orm/sqlite-core';
 *
 * type Credentials = { apiKey: string };
 * const codec = columnCodec<Credentials>({
 *   keyring: keyringFromEnv(),
 *   table: 'connections',
 *   column: 'credentials',
 *   binds: 'column',
 *   tenant: tenantFromContext,
 * });
 * const encrypted = customType<{ data: Credentials; driverData: unknown }>(drizzleType(codec));
 * export const connections = sqliteTable('connections', { id: text().primaryKey(), credentials: encrypted() });
 * ```
 */
export function drizzleType<T>(codec: ColumnCodec<T>, dataType = 'text'): EncryptedCustomType<T> {
  checkCodec(codec, 'column');
  if (!isName(dataType)) throw invalid('dataType', 'an SQL type', describe(dataType));
  return Object.freeze({
    binds: 'column',
    dataType: () => dataType,
    toDriver: (value: T) => codec.encode(value),
    fromDriver: (stored: unknown) => codec.decode(stored),
  });
}
