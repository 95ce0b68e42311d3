import type { SuiteResult } from '../run.ts';
import { markdownTable, tableOf } from './table.ts';

const PREAMBLE = `# Benchmarks

Written by \`npm run bench\`, which exits with 1 if a budget is not met. The code is in \`packages/bench\`.

## Method

Figures of two machines, or of two hours on one machine, cannot be compared; ratios of one run can. So every ratio here
is taken within a run:

- The contenders of a case get the same input. Each is run once and its result compared before anything is measured.
- They are measured in turns: a round gives each a slice of some tens of milliseconds, in an order that changes from
  round to round, after a round to warm up that does not count. [mitata](https://github.com/evanwashere/mitata) times a
  slice. The heap is collected before it, and garbage made within it counts.
- A ratio is a contender's time over the baseline's in the same round. The tables have the median over the rounds and,
  as quartiles, the range that the middle half of the rounds is in.
- Times and MB/s (10^6 bytes of payload through one operation, there and back) are medians over the rounds as well. They
  say what to expect of this machine only.
- A budget is the largest ratio that is accepted. It is compared with the median as printed.`;

export interface Measured {
  /** Day, as YYYY-MM-DD. */
  readonly date: string;
  readonly machine: string;
}

/**
 * `docs/benchmarks.md` with the sections of these suites written anew. Sections of suites that did not run this time
 * are taken from `previous`; those of suites that are no longer listed in `order` go.
 */
export function documentOf(
  results: readonly SuiteResult[],
  measured: Measured,
  previous: string,
  order: readonly string[],
): string {
  const sections = order.flatMap((name) => {
    const result = results.find(({ suite }) => suite.name === name);
    const section = result ? sectionOf(result, measured) : sectionIn(previous, name);
    return section === undefined ? [] : [section];
  });
  return `${[PREAMBLE, ...sections].join('\n\n')}\n`;
}

function sectionOf(result: SuiteResult, { date, machine }: Measured): string {
  const { name, title, about } = result.suite;
  return [
    opening(name),
    `## ${title}`,
    about,
    `![${title}: ratios to the baseline](benchmarks/${name}.svg)`,
    markdownTable(tableOf(result)),
    `Measured ${date} in ${result.rounds} rounds. ${machine}.`,
    closing(name),
  ].join('\n\n');
}

function sectionIn(document: string, name: string): string | undefined {
  const start = document.indexOf(opening(name));
  const end = document.indexOf(closing(name), start);
  return start < 0 || end < 0 ? undefined : document.slice(start, end + closing(name).length);
}

function opening(name: string): string {
  return `<!-- suite ${name} -->`;
}

function closing(name: string): string {
  return `<!-- end of suite ${name} -->`;
}
