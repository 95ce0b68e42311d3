/** Quartiles of some measurements. */
export interface Spread {
  readonly p25: number;
  readonly median: number;
  readonly p75: number;
}

/** Precondition: `values` is not empty. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return { p25: quantile(sorted, 0.25), median: quantile(sorted, 0.5), p75: quantile(sorted, 0.75) };
}

/** Interpolates linearly between the two nearest ranks. */
function quantile(sorted: readonly number[], q: number): number {
  const rank = q * (sorted.length - 1);
  const below = sorted[Math.floor(rank)];
  const above = sorted[Math.ceil(rank)];
  if (below === undefined || above === undefined) throw new RangeError('No measurements.');
  return below + (above - below) * (rank - Math.floor(rank));
}
