import { invalid } from '../../columns/options.ts';
import { describe } from '../../keywright-error.ts';
import { ColumnMigrationError } from '../errors.ts';
import { keyOfText, textOfKey } from '../key-text.ts';
import type { ColumnLocation, KnexRow, RawRow, RawValue } from './engine.ts';

/**
 * A row as the source gives it.
 * @throws ColumnMigrationError `ERR_COLUMN_SOURCE_KEY` for a row that could not be found again
 */
export function presentRow(row: RawRow, location: ColumnLocation, jsonAs: 'object' | 'string'): KnexRow {
  const bound = location.key.map((_, index) => checkKey(row[`k${index}`], location));
  const tenant = location.tenantColumn === undefined ? undefined : checkTenant(row.tenant, location);
  const key = Object.fromEntries(location.keyNames.map((name, index) => [name, bound[index] as string]));
  return { key, tenant, bound, raw: row.stored, ...presentValue(row.stored, jsonAs) };
}

/** What the codec reads. JSON that cannot be parsed is given as its text: the codec refuses what it then finds. */
function presentValue(raw: RawValue, jsonAs: 'object' | 'string'): Pick<KnexRow, 'stored' | 'text'> {
  if (jsonAs === 'string' || typeof raw !== 'string') return { stored: raw };
  try {
    return { stored: JSON.parse(raw) as unknown, text: raw };
  } catch {
    return { stored: raw };
  }
}

/** What the column is to hold: objects as their JSON. */
export function rawOf(next: unknown): RawValue {
  if (typeof next !== 'object' || next === null) return next as RawValue;
  return ArrayBuffer.isView(next) ? Buffer.from(next.buffer, next.byteOffset, next.byteLength) : JSON.stringify(next);
}

export function cursorOf({ key }: KnexRow): string {
  return textOfKey(key);
}

/** @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT` */
export function boundOf(cursor: string | undefined, { keyNames }: ColumnLocation): readonly unknown[] | undefined {
  if (cursor === undefined) return undefined;
  const parts = readCursor(cursor);
  const bound = keyNames.map((name) => parts[name]);
  if (Object.keys(parts).length === keyNames.length && bound.every((value) => value !== undefined)) return bound;
  throw invalid('after', 'a cursor of a source with the same key', describe(cursor));
}

function readCursor(cursor: string): Readonly<Record<string, unknown>> {
  try {
    return keyOfText(cursor);
  } catch {
    return {};
  }
}

function checkKey(value: unknown, { table, key }: ColumnLocation): string | number | bigint {
  // A replacement character is what a driver makes of bytes that are no UTF-8: a cursor of it would stand elsewhere.
  const text = typeof value === 'string' && value !== '' && !value.includes('\uFFFD');
  if (text || typeof value === 'bigint' || Number.isSafeInteger(value)) return value as string | number | bigint;
  const context = {
    table,
    field: key.join(', '),
    expected: 'text that is UTF-8 and not empty, or integers',
    received: describe(value),
  };
  throw new ColumnMigrationError('ERR_COLUMN_SOURCE_KEY', { context });
}

function checkTenant(value: unknown, { table, tenantColumn = '' }: ColumnLocation): string {
  if (value !== null && value !== undefined && String(value) !== '') return String(value);
  const context = { table, field: tenantColumn, expected: 'a tenant in every row', received: describe(value) };
  throw new ColumnMigrationError('ERR_COLUMN_SOURCE_KEY', { context });
}
