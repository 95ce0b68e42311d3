import type { Measured } from '../report/document.ts';
import type { Spread } from '../statistics.ts';
import type { StressResult } from './backfill.ts';

/** The least that the backfill may reach of the speed of the bare update. */
export const MIN_SHARE = 0.6;

/** `docs/stress.md` */
export function documentOf(result: StressResult, { date, machine }: Measured): string {
  const { rows, killed, lost, updatesTooMany, leftOver, backfill, bare, share } = result;
  return `# Stress

Written by \`npm run stress\`, which exits with 1 if a row is lost or set twice, or if it is too slow. The code is in
\`packages/bench/src/stress\`; \`npm test\` runs it in a smaller size.

## Leaving plaintext

\`backfill()\` encrypts a table of ${count(rows)} rows of credentials on PostgreSQL. Its process is killed (SIGKILL) in the
middle of a batch, and another goes on from the last cursor that was heard of. In turns with it, slice by slice, another
process does a bare update to a second table: it pages through the keys and sets as many bytes, made beforehand, with the
same statement, and neither reads a value nor compares one. Both write batches of the same size, one after the other. Each
table has a primary key, a unique index and another one.

| what | result |
| :--- | ---: |
| rows | ${count(rows)} |
| processes killed | ${killed} |
| rows that do not decrypt to what they held | ${count(lost)} |
| updates that the database counted beyond one for each row | ${count(updatesTooMany)} |
| rows that a run from the start still converts | ${count(leftOver)} |
| backfill, rows per second | ${rate(backfill)} |
| bare update, rows per second | ${rate(bare)} |
| speed of the backfill, as a part of the bare update's | ${share.median.toFixed(2)} (${share.p25.toFixed(2)}–${share.p75.toFixed(2)}), at least ${MIN_SHARE.toFixed(2)} |

Speeds are medians over the slices, in parentheses the range of the middle half. Measured ${date}. ${machine}.
`;
}

function count(value: number): string {
  return value.toLocaleString('en');
}

/** From microseconds per row. */
function rate({ p25, median, p75 }: Spread): string {
  const perSecond = (time: number): string => count(Math.round(1_000_000 / time / 100) * 100);
  return `${perSecond(median)} (${perSecond(p75)}–${perSecond(p25)})`;
}
