import { isMet } from '../../load/verdict.ts';
import { formatTime } from '../../report/format.ts';
import type { StressRun } from '../stress-run.ts';
import { MAX_RATIO, measureSize, type SizeResult } from './run.ts';

const SIZES = {
  full: { read: 10_000, secrets: 10_000_000, rounds: 10, sliceMs: 1000 },
  quick: { read: 1_000, secrets: 100_000, rounds: 3, sliceMs: 300 },
} as const;

/** A get costs the same among ten million secrets. */
export const sizeRun: StressRun = {
  name: 'size',

  async run({ serverUrl, size, progress }) {
    const result = await measureSize({ serverUrl, ...SIZES[size], progress });
    return { section: sizeSection(result), problems: sizeProblems(result) };
  },
};

export function sizeProblems({ cases }: SizeResult): string[] {
  return cases.flatMap(({ name, contenders }) =>
    contenders
      .flatMap(({ budgets }) => budgets)
      .filter((budget) => !isMet(budget))
      .map(({ ratio }) => `${name}: a get takes ${ratio.median.toFixed(2)} times as long, more than ${MAX_RATIO}`),
  );
}

export function sizeSection({ read, secrets, bytes, cases }: SizeResult): string {
  const rows = cases.flatMap(({ name, contenders: [small, large] }) => {
    const ratio = large?.budgets[0]?.ratio;
    if (small === undefined || large === undefined || ratio === undefined) return [];
    const cells = [
      name,
      formatTime(small.p50.median * 1e6),
      formatTime(large.p50.median * 1e6),
      `${ratio.median.toFixed(2)} (${ratio.p25.toFixed(2)}–${ratio.p75.toFixed(2)}), at most ${MAX_RATIO.toFixed(2)}`,
    ];
    return [`| ${cells.join(' | ')} |`];
  });
  return `## Size

The same ${read.toLocaleString('en')} secrets are read at random, audited, from a store that has no others, and from one that has ${secrets.toLocaleString('en')} others
of 10,000 tenants, with a version and an audit row each: ${(bytes / 1e9).toFixed(1)} GB with its indexes, of which the server caches what its
default settings allow and the machine the rest. What is read was written between the others and lies among them. Both are
measured in turns; what is compared is the median time of a \`get\`.

| callers | ${read.toLocaleString('en')} secrets | ${secrets.toLocaleString('en')} secrets | ratio |
| :--- | ---: | ---: | ---: |
${rows.join('\n')}`;
}
