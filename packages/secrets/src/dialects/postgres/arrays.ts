const SPECIAL = /["\\]/g;

/** Values that need no quotes in an array's text: numbers, UUIDs. */
export type Plain = string | number;

/** An array parameter as PostgreSQL reads it, without the driver's look at each value. */
export function plainArray(values: readonly (Plain | null)[]): string {
  if (values.every((value) => value === null)) return '{}'; // unnest fills it up
  return `{${values.map((value) => value ?? 'NULL').join(',')}}`;
}

/** As {@link plainArray}, for text. */
export function textArray(values: readonly (string | null)[]): string {
  let out = '';
  let any = false;
  for (const value of values) {
    if (out !== '') out += ',';
    if (value === null) {
      out += 'NULL';
    } else {
      any = true;
      out += `"${value.includes('"') || value.includes('\\') ? value.replace(SPECIAL, '\\$&') : value}"`;
    }
  }
  return any ? `{${out}}` : '{}';
}

/** As {@link plainArray}, for bytes. */
export function bytesArray(values: readonly (Buffer | null)[]): string {
  if (values.every((value) => value === null)) return '{}';
  return `{${values.map((value) => (value === null ? 'NULL' : `"\\\\x${value.toString('hex')}"`)).join(',')}}`;
}
