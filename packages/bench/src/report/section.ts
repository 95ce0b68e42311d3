import type { LoadSuiteResult } from '../load/measure.ts';
import { missedBudgets } from '../load/verdict.ts';
import type { SuiteResult } from '../run.ts';
import { overruns } from '../verdict.ts';
import { chartOf } from './chart.ts';
import { loadChartOf } from './load-chart.ts';
import { budgetTableOf, loadTableOf } from './load-table.ts';
import { panelsOf } from './panels.ts';
import { type Table, tableOf } from './table.ts';

/** A suite's part of the document, whatever was measured. */
export interface Section {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  /** SVG. */
  readonly picture: string;
  /** What the picture shows. */
  readonly caption: string;
  readonly tables: readonly Table[];
  /** Ends in a full stop. */
  readonly method: string;
  /** A line for every budget that was not met. */
  readonly missed: readonly string[];
}

/** Of a suite that timed single operations. */
export function sectionOfTimes(result: SuiteResult): Section {
  const { name, title, about, picture } = result.suite;
  return {
    name,
    title,
    about,
    picture: picture === 'panels' ? panelsOf(result) : chartOf(result),
    caption: `${title}: ratios to the baseline`,
    tables: [tableOf(result)],
    method: `in ${result.rounds} rounds.`,
    missed: overruns([result]),
  };
}

/** Of a suite of many callers. */
export function sectionOfLoad(result: LoadSuiteResult): Section {
  const { name, title, about, operations } = result.suite;
  const budgets = budgetTableOf(result);
  return {
    name,
    title,
    about,
    picture: loadChartOf(result),
    caption: `${title}: ${operations} per second and latency`,
    tables: [loadTableOf(result), ...(budgets.rows.length === 0 ? [] : [budgets])],
    method: `in ${result.rounds} rounds. ${result.facts}`,
    missed: missedBudgets(result),
  };
}
