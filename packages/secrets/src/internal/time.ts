/**
 * A timestamp column as milliseconds since 1970: PostgreSQL's driver returns a Date, or text or an object of a date
 * library where the host has set a parser of its own; SQLite returns the number that was stored.
 */
export function toMillis(value: Timestamp): number {
  return typeof value === 'string' ? Date.parse(value) : Number(value);
}

/** `object`: what a date library makes of it, which converts to milliseconds as a Date does. */
export type Timestamp = Date | number | string | object;
