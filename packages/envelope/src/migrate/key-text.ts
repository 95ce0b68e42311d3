import type { RowKey } from './row-source.ts';

/** A key as text that `keyOfText` reads: a cursor, or a name to find the row by. */
export function textOfKey(key: RowKey): string {
  return JSON.stringify(key, (_column, value: unknown) =>
    typeof value === 'bigint' ? { bigint: String(value) } : value,
  );
}

/** Precondition: the text is one of `textOfKey`. */
export function keyOfText(text: string): RowKey {
  const parts = JSON.parse(text) as Record<string, string | number | { readonly bigint: string }>;
  return Object.fromEntries(
    Object.entries(parts).map(([column, value]) => [column, typeof value === 'object' ? BigInt(value.bigint) : value]),
  );
}
