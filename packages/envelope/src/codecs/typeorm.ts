import type { ColumnCodec } from '../columns/column-codec.ts';
import { checkCodec } from './encrypted-columns.ts';

/** A TypeORM `ValueTransformer`. */
export interface EncryptedTransformer<T> {
  /** It sees no row: two rows of the column can be swapped unnoticed. */
  readonly binds: 'column';
  to(value: T | null | undefined): unknown;
  from(stored: unknown): T;
}

/**
 * The `transformer` of a TypeORM column.
 *
 * A transformer sees a value and nothing else, so values are bound to table, column and tenant (`tenant:
 * tenantFromContext`), but **not to their row**: whoever can write the table can swap two rows. TypeORM compares what
 * `to` returns, and no two ciphertexts are alike: `save()` of a loaded entity writes the column again, and a `where` on
 * the column finds nothing, its negation (`Not`) everything.
 *
 * TypeORM does not show a transformer everything: a function in place of a value (`set({ credentials: () => '…' })`),
 * `increment()`, a `default` of the column and raw SQL are **written in the clear**, and refused when read;
 * `getRawMany()`, `maximum()` and the like give what is stored.
 *
 * @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT` for a codec that binds the row
 *
 * @example
 * ```ts
 * import { keyringFromEnv } from '@keywright/envelope';
 * import { typeormTransformer } from '@keywright/envelope/codecs/typeorm';
 * import { columnCodec, tenantFromContext } from '@keywright/envelope/columns';
 * import { EntitySchema } from 'typeorm';
 *
 * const credentials = columnCodec<{ apiKey: string }>({
 *   keyring: keyringFromEnv(),
 *   table: 'connections',
 *   column: 'credentials',
 *   binds: 'column',
 *   tenant: tenantFromContext,
 * });
 * export const Connection = new EntitySchema<{ id: string; credentials: { apiKey: string } }>({
 *   name: 'connections',
 *   columns: {
 *     id: { type: 'varchar', primary: true },
 *     credentials: { type: 'text', transformer: typeormTransformer(credentials) },
 *   },
 * });
 * ```
 */
export function typeormTransformer<T>(codec: ColumnCodec<T>): EncryptedTransformer<T> {
  checkCodec(codec, 'column');
  return Object.freeze({
    binds: 'column',
    to: (value: T | null | undefined) => codec.encode(value as T),
    from: (stored: unknown) => codec.decode(stored),
  });
}
