/** A timestamp column as milliseconds since 1970: PostgreSQL returns a Date, SQLite the number that was stored. */
export function toMillis(value: Date | number): number {
  return typeof value === 'number' ? value : value.getTime();
}
