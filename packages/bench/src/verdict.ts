import type { ContenderResult } from './measure.ts';
import type { SuiteResult } from './run.ts';

/** `none` where the contender has no budget; `over` is ours that takes too long, `faster` a peer that ours is to beat. */
export type Verdict = 'ok' | 'over' | 'faster' | 'none';

/** Compares the median as it is printed, at two decimals, so a table never contradicts itself. */
export function verdictOf(result: ContenderResult): Verdict {
  const { maxRatio, minRatio } = result;
  const printed = Number(result.ratio.median.toFixed(2));
  if (maxRatio !== undefined && printed > maxRatio) return 'over';
  if (minRatio !== undefined && printed <= minRatio) return 'faster';
  return maxRatio === undefined && minRatio === undefined ? 'none' : 'ok';
}

/** A contender's budget as it is printed; empty without one. */
export function budgetOf({ maxRatio, minRatio }: ContenderResult): string {
  const budgets = [
    ...(minRatio === undefined ? [] : [`> ${minRatio.toFixed(2)}`]),
    ...(maxRatio === undefined ? [] : [`≤ ${maxRatio.toFixed(2)}`]),
  ];
  return budgets.join(', ');
}

/** A line for every budget that was not met. */
export function overruns(results: readonly SuiteResult[]): string[] {
  return results.flatMap(({ suite, cases }) =>
    cases.flatMap((item) =>
      item.contenders
        .filter((contender) => ['over', 'faster'].includes(verdictOf(contender)))
        .map(
          (contender) =>
            `${suite.name}, ${item.name}: ${contender.name} takes ${contender.ratio.median.toFixed(2)} times the baseline, budget ${budgetOf(contender)}`,
        ),
    ),
  );
}
