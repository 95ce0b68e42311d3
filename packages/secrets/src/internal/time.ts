/**
 * A timestamp column as milliseconds since 1970: PostgreSQL's driver returns a Date, or text where the host has set a
 * parser of its own; SQLite returns the number that was stored.
 */
export function toMillis(value: Timestamp): number {
  if (typeof value === 'number') return value;
  return typeof value === 'string' ? Date.parse(value) : value.getTime();
}

export type Timestamp = Date | number | string;
