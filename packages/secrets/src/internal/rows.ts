const UPPER = /[A-Z]/;

/**
 * Rows as the store names their columns. A host's knex may rename columns on their way back (`postProcessResponse`, as
 * objection's snake case mappers do), which would otherwise leave every field undefined.
 */
export function asRows<Row>(result: unknown): readonly Row[] {
  return (result as readonly Record<string, unknown>[]).map((row) => asRow<Row>(row) as Row);
}

/** One row, or `undefined` where there is none. */
export function asRow<Row>(result: unknown): Row | undefined {
  if (result === undefined || result === null) return undefined;
  const row = result as Record<string, unknown>;
  const entries = Object.entries(row);
  if (!entries.some(([name, value]) => UPPER.test(name) || typeof value === 'bigint')) return row as Row;
  return Object.fromEntries(entries.map(([name, value]) => [snake(name), plainNumber(value)])) as Row;
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A host may have asked its driver for bigints; every number of the store is a safe one. */
function plainNumber(value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}
