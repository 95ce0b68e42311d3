import type { LoadSuiteResult } from '../load/measure.ts';
import { isMet, limitOf } from '../load/verdict.ts';
import { formatCount, formatQuartiles, formatRatio, formatTime } from './format.ts';
import type { Table } from './table.ts';

const MS = 1e6;

/** A row for each contender of each case. */
export function loadTableOf({ suite, cases }: LoadSuiteResult): Table {
  return {
    head: ['case', 'contender', `${suite.operations}/s`, 'ratio', 'quartiles', 'p50', 'p99'],
    align: ['left', 'left', 'right', 'right', 'right', 'right', 'right'],
    rows: cases.flatMap((item) =>
      item.contenders.map(({ name, perSecond, ratio, p50, p99 }) => [
        item.name,
        name,
        formatCount(perSecond.median),
        formatRatio(ratio.median),
        formatQuartiles(ratio),
        formatTime(p50.median * MS),
        formatTime(p99.median * MS),
      ]),
    ),
  };
}

/** A row for each budget. */
export function budgetTableOf({ cases }: LoadSuiteResult): Table {
  return {
    head: ['case', 'what', 'ratio', 'quartiles', 'budget', ''],
    align: ['left', 'left', 'right', 'right', 'right', 'left'],
    rows: cases.flatMap((item) =>
      item.contenders.flatMap(({ name, budgets }) =>
        budgets.map((budget) => [
          item.name,
          `${budget.measure} of ${name} to ${budget.against}`,
          formatRatio(budget.ratio.median),
          formatQuartiles(budget.ratio),
          limitOf(budget),
          isMet(budget) ? 'ok' : 'missed',
        ]),
      ),
    ),
  };
}
