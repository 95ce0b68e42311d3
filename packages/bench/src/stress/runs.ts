import { backfillRun } from './backfill-run.ts';
import { concurrencyRun } from './concurrency/section.ts';
import { hsmRun } from './hsm/section.ts';
import { rotateRootRun, rotateTenantRun } from './rotation/section.ts';
import { sizeRun } from './size/section.ts';
import type { StressRun } from './stress-run.ts';

/** In the order in which they run and are reported. */
export const runs: readonly StressRun[] = [
  backfillRun,
  rotateRootRun,
  rotateTenantRun,
  concurrencyRun,
  sizeRun,
  hsmRun,
];

/**
 * The runs of these names, all without any.
 * @throws RangeError for a name that no run has
 */
export function selectRuns(names: readonly string[]): readonly StressRun[] {
  const unknown = names.find((name) => !runs.some((run) => run.name === name));
  if (unknown !== undefined) {
    throw new RangeError(`No run "${unknown}". Runs: ${runs.map(({ name }) => name).join(', ')}.`);
  }
  return names.length === 0 ? runs : runs.filter(({ name }) => names.includes(name));
}
