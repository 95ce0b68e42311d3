import type { CaseResult, ContenderResult } from '../measure.ts';
import type { SuiteResult } from '../run.ts';
import { budgetOf, verdictOf } from '../verdict.ts';
import { formatQuartiles, formatRatio, formatThroughput, formatTime } from './format.ts';

interface Column {
  readonly head: string;
  readonly align: 'left' | 'right';
  readonly cell: (item: CaseResult, contender: ContenderResult) => string;
}

/** A head and rows of equal length. */
export interface Table {
  readonly head: readonly string[];
  readonly align: readonly ('left' | 'right')[];
  readonly rows: readonly (readonly string[])[];
}

/** A row for each contender of each case. */
export function tableOf({ suite, cases }: SuiteResult): Table {
  const columns: readonly Column[] = [
    { head: 'case', align: 'left', cell: (item) => item.name },
    { head: 'contender', align: 'left', cell: (_, { name }) => name },
    { head: suite.operation, align: 'right', cell: (_, { time }) => formatTime(time.median) },
    { head: 'MB/s', align: 'right', cell: (item, { time }) => formatThroughput(item.bytes, time.median) },
    { head: 'ratio', align: 'right', cell: (_, { ratio }) => formatRatio(ratio.median) },
    { head: 'quartiles', align: 'right', cell: (_, { ratio }) => formatQuartiles(ratio) },
    { head: 'of means', align: 'right', cell: (_, { meanRatio }) => formatRatio(meanRatio.median) },
    { head: 'budget', align: 'right', cell: (_, contender) => budgetOf(contender) },
    { head: '', align: 'left', cell: (_, contender) => verdictOf(contender).replace('none', '') },
  ];
  return {
    head: columns.map(({ head }) => head),
    align: columns.map(({ align }) => align),
    rows: cases.flatMap((item) => item.contenders.map((contender) => columns.map(({ cell }) => cell(item, contender)))),
  };
}

/** For a terminal: columns padded, a blank line between cases. */
export function textTable({ head, align, rows }: Table): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return align[column] === 'right' ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  const lines = rows.flatMap((row, index) =>
    index > 0 && row[0] !== rows[index - 1]?.[0] ? ['', line(row)] : [line(row)],
  );
  return [line(head), ...lines].join('\n');
}

/** For a document. */
export function markdownTable({ head, align, rows }: Table): string {
  const rule = align.map((side) => (side === 'right' ? '---:' : ':---'));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
