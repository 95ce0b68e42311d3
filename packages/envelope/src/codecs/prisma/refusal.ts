import { ColumnError } from '../../columns/errors.ts';
import type { ModelInfo } from './models.ts';

export function refusal(model: ModelInfo | undefined, field: string, operation: string): ColumnError {
  const codec = model?.columns?.codecs.get(field);
  const table = codec?.table ?? model?.table;
  return new ColumnError('ERR_COLUMN_STATEMENT_REFUSED', {
    context: { ...(table !== undefined && { table }), field: codec?.column ?? field, operation },
  });
}
