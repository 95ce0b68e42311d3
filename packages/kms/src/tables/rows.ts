const UPPER = /[A-Z]/g;

/**
 * Rows as the tables name their columns. A host's knex may rename columns on their way back (`postProcessResponse`, as
 * objection's snake case mappers do), which would otherwise leave every field undefined.
 */
export function asRows<Row>(result: unknown): readonly Row[] {
  return (result as readonly Record<string, unknown>[]).map((row) => {
    const entries = Object.entries(row).map(([name, value]) => [snake(name), plain(value)]);
    return Object.fromEntries(entries) as Row;
  });
}

/** A timestamp column: a Date, text or a date library's object where the host has set a parser; a number on SQLite. */
export function asDate(value: unknown): Date {
  return new Date(typeof value === 'string' ? Date.parse(value) : Number(value));
}

/** A JSON column: parsed by PostgreSQL's driver unless the host has set it to text; text on SQLite. */
export function asJson(value: unknown): unknown {
  return typeof value === 'string' ? (JSON.parse(value) as unknown) : value;
}

function snake(name: string): string {
  return name.replace(UPPER, (letter) => `_${letter.toLowerCase()}`);
}

/** A host may have asked its driver for bigints; every number of these tables is a safe one. */
function plain(value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}
