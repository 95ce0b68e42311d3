import type { ColumnCodec } from '../columns/column-codec.ts';
import { invalid } from '../columns/options.ts';
import { describe } from '../keywright-error.ts';
import { type Target, targetName } from './target.ts';

/**
 * A position as text that may be kept: with what it is a position of, because the cursor of another table would skip
 * rows without a word.
 */
export function wrapCursor<T>(codec: ColumnCodec<T>, target: Target, position: string): string {
  return JSON.stringify([...owner(codec, target), position]);
}

/** @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT` for what is no cursor of this column and target */
export function unwrapCursor<T>(codec: ColumnCodec<T>, target: Target, cursor: string): string {
  const expected = owner(codec, target);
  const parts = parsed(cursor);
  const position: unknown = parts[expected.length];
  const fits = parts.length === expected.length + 1 && expected.every((part, index) => part === parts[index]);
  if (fits && typeof position === 'string') return position;
  throw invalid('cursor', 'a cursor of a backfill of the same column and target', describe(cursor));
}

function owner<T>({ table, column }: ColumnCodec<T>, target: Target): readonly string[] {
  return ['backfill 1', table, column, targetName(target)];
}

function parsed(cursor: unknown): readonly unknown[] {
  try {
    const parts: unknown = typeof cursor === 'string' ? JSON.parse(cursor) : undefined;
    return Array.isArray(parts) ? parts : [];
  } catch {
    return [];
  }
}
