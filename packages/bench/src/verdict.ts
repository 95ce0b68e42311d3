import type { ContenderResult } from './measure.ts';
import type { SuiteResult } from './run.ts';

/** `none` where the contender has no budget. */
export type Verdict = 'ok' | 'over' | 'none';

/** Compares the median as it is printed, at two decimals, so a table never contradicts itself. */
export function verdictOf(result: ContenderResult): Verdict {
  if (result.maxRatio === undefined) return 'none';
  return Number(result.ratio.median.toFixed(2)) <= result.maxRatio ? 'ok' : 'over';
}

/** A line for every budget that was not met. */
export function overruns(results: readonly SuiteResult[]): string[] {
  return results.flatMap(({ suite, cases }) =>
    cases.flatMap((item) =>
      item.contenders
        .filter((contender) => verdictOf(contender) === 'over')
        .map(
          ({ name, ratio, maxRatio }) =>
            `${suite.name}, ${item.name}: ${name} takes ${ratio.median.toFixed(2)} times the baseline, budget ${maxRatio?.toFixed(2)}`,
        ),
    ),
  );
}
