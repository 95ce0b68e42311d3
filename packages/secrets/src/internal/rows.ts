const UPPER = /[A-Z]/;

/**
 * Rows as the store names their columns. A host's knex may rename columns on their way back (`postProcessResponse`, as
 * objection's snake case mappers do), which would otherwise leave every field undefined.
 */
export function asRows<Row>(result: unknown): readonly Row[] {
  const rows = result as readonly Record<string, unknown>[];
  // All rows of a result have the same names.
  const plain = rows[0] === undefined || !Object.keys(rows[0]).some((name) => UPPER.test(name));
  return rows.map((row) => (plain && !hasBigint(row) ? row : asRow<Row>(row)) as Row);
}

/** One row, or `undefined` where there is none. */
export function asRow<Row>(result: unknown): Row | undefined {
  if (result === undefined || result === null) return undefined;
  const row = result as Record<string, unknown>;
  const entries = Object.entries(row);
  if (!entries.some(([name, value]) => UPPER.test(name) || typeof value === 'bigint')) return row as Row;
  return Object.fromEntries(entries.map(([name, value]) => [snake(name), plainNumber(value)])) as Row;
}

function hasBigint(row: Record<string, unknown>): boolean {
  for (const name in row) if (typeof row[name] === 'bigint') return true;
  return false;
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A host may have asked its driver for bigints; every number of the store is a safe one. */
function plainNumber(value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}
