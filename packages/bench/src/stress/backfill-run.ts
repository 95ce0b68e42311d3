import { createPostgresDatabase } from '@keywright/testkit';
import type { Spread } from '../statistics.ts';
import { type StressResult, stressBackfill } from './backfill.ts';
import type { StressRun } from './stress-run.ts';

/** The least that the backfill may reach of the speed of the bare update. */
export const MIN_SHARE = 0.6;

const SIZES = { full: 1_000_000, quick: 50_000 } as const;
const BATCH_ROWS = 1000;
const SLICES = 50;
const KILLS = [8, 19, 29, 40];

/** A column of a million rows is taken out of plaintext. */
export const backfillRun: StressRun = {
  name: 'backfill',

  async run({ serverUrl, size, progress }) {
    const { url, drop } = await createPostgresDatabase(serverUrl);
    const onSlice = (slice: number): void => {
      if (slice % 10 === 0) progress(`slice ${slice} of ${SLICES}`);
    };
    const options = { url, rows: SIZES[size], batchRows: BATCH_ROWS, slices: SLICES, kills: KILLS, onSlice };
    const result = await stressBackfill(options);
    await drop();
    return { section: backfillSection(result), problems: problemsOf(result) };
  },
};

function problemsOf({ lost, updatesTooMany, leftOver, share }: StressResult): string[] {
  return [
    ...(lost === 0 ? [] : [`${lost} rows were lost`]),
    ...(updatesTooMany === 0 ? [] : [`${updatesTooMany} updates too many`]),
    ...(leftOver === 0 ? [] : [`${leftOver} rows were left over`]),
    ...(share.median >= MIN_SHARE ? [] : [`${share.median.toFixed(2)} of the bare update's speed, below ${MIN_SHARE}`]),
  ];
}

export function backfillSection(result: StressResult): string {
  const { rows, killed, lost, updatesTooMany, leftOver, backfill, bare, share } = result;
  return `## Leaving plaintext

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

Speeds are medians over the slices, in parentheses the range of the middle half.`;
}

function count(value: number): string {
  return value.toLocaleString('en');
}

/** From microseconds per row. */
function rate({ p25, median, p75 }: Spread): string {
  const perSecond = (time: number): string => count(Math.round(1_000_000 / time / 100) * 100);
  return `${perSecond(median)} (${perSecond(p75)}–${perSecond(p25)})`;
}
