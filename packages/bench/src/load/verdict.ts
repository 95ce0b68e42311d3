import type { BudgetResult, LoadSuiteResult } from './measure.ts';

/** Compares the median as it is printed, at two decimals, so a table never contradicts itself. */
export function isMet({ ratio, least, most }: BudgetResult): boolean {
  const printed = Number(ratio.median.toFixed(2));
  return printed >= (least ?? Number.NEGATIVE_INFINITY) && printed <= (most ?? Number.POSITIVE_INFINITY);
}

export function limitOf({ least, most }: BudgetResult): string {
  const limits = [
    ...(least === undefined ? [] : [`≥ ${least.toFixed(2)}`]),
    ...(most === undefined ? [] : [`≤ ${most.toFixed(2)}`]),
  ];
  return limits.join(', ');
}

/** A line for every budget that was not met. */
export function missedBudgets({ suite, cases }: LoadSuiteResult): string[] {
  return cases.flatMap((item) =>
    item.contenders.flatMap(({ name, budgets }) =>
      budgets
        .filter((budget) => !isMet(budget))
        .map(
          (budget) =>
            `${suite.name}, ${item.name}: ${budget.measure} of ${name} is ${budget.ratio.median.toFixed(2)} times that of ${budget.against}, budget ${limitOf(budget)}`,
        ),
    ),
  );
}
