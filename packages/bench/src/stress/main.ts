import { writeFile } from 'node:fs/promises';
import { createPostgresDatabase, startPostgres } from '@keywright/testkit';
import { machine } from '../machine.ts';
import { type StressResult, stressBackfill } from './backfill.ts';
import { documentOf, MIN_SHARE } from './document.ts';

const USAGE = `Usage: node packages/bench/src/stress/main.ts [rows]

Encrypts a table of 1,000,000 rows, or so many, on a real PostgreSQL, with processes that are killed on the way. Writes
docs/stress.md at full size. Exits with 1 if a row was lost or set twice, or it was too slow.`;
const FULL = 1_000_000;
const BATCH_ROWS = 1000;

const rows = Number(process.argv[2] ?? FULL);
if (!Number.isSafeInteger(rows) || rows < 50_000) {
  console.error(USAGE);
  process.exitCode = 2;
} else {
  process.exitCode = await main();
}

async function main(): Promise<number> {
  const server = await startPostgres();
  try {
    const { url, drop } = await createPostgresDatabase(server.url);
    const slices = 50;
    const kills = [8, 19, 29, 40];
    console.log(machine());
    const onSlice = (slice: number): void =>
      void process.stderr.write(slice % 10 === 0 ? `slice ${slice} of ${slices}\n` : '');
    const result = await stressBackfill({ url, rows, batchRows: BATCH_ROWS, slices, kills, onSlice });
    await drop();
    const document = documentOf(result, { date: new Date().toISOString().slice(0, 10), machine: machine() });
    console.log(document);
    if (rows === FULL) await writeFile(new URL('../../../../docs/stress.md', import.meta.url), document);
    return isGood(result) ? 0 : 1;
  } finally {
    await server.stop();
  }
}

function isGood({ lost, updatesTooMany, leftOver, share }: StressResult): boolean {
  return lost === 0 && updatesTooMany === 0 && leftOver === 0 && share.median >= MIN_SHARE;
}
