import { ColumnError } from '../../columns/errors.ts';
import type { EncryptedColumns } from '../encrypted-columns.ts';

/** @param reason what of the statement is in the way: a constant of this adapter or the kind of a node */
export function refusal(columns: EncryptedColumns | undefined, column: string, reason: string): ColumnError {
  const codec = columns?.codecs.get(column);
  return new ColumnError('ERR_COLUMN_STATEMENT_REFUSED', {
    context: { ...(codec && { table: codec.table }), field: codec?.column ?? column, operation: reason },
  });
}
