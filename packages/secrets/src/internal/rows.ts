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
  if (!Object.keys(row).some((name) => /[A-Z]/.test(name))) return row as Row;
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value]),
  ) as Row;
}
