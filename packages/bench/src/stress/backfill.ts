import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { createKeyring } from '@keywright/envelope';
import { columnCodec } from '@keywright/envelope/columns';
import { backfill, finalise, knexRowSource } from '@keywright/envelope/migrate';
import createKnex, { type Knex } from 'knex';
import { type Spread, spread } from '../statistics.ts';
import { messageOf, startWorker, stop } from './processes.ts';
import { type SliceMessage, type SliceTask, TABLES, type WorkerMessage, type WorkerSetup } from './protocol.ts';
import { createTable, credentialsOf } from './rows.ts';

const WORKER = new URL('./worker.ts', import.meta.url);
const SETTLE_MS = 500;
const MAX_WAITS = 30;

export interface StressOptions {
  /** Of an empty database. */
  readonly url: string;
  readonly rows: number;
  readonly batchRows: number;
  /** Slices that the rows are cut into. */
  readonly slices: number;
  /** Slices during which the process is killed. */
  readonly kills: readonly number[];
  /** @default silence */
  readonly onSlice?: (slice: number, slices: number) => void;
}

export interface StressResult {
  readonly rows: number;
  /** Processes that were killed while they wrote. */
  readonly killed: number;
  /** Rows that do not decrypt to what they held before. */
  readonly lost: number;
  /** Rows that were set more than once, or that were never set: what the database counted, less the rows. */
  readonly updatesTooMany: number;
  /** Rows that a run from the start still found to convert. */
  readonly leftOver: number;
  readonly backfill: Spread;
  readonly bare: Spread;
  /** Speed of the backfill as a part of the speed of the bare update, over the slices that were not disturbed. */
  readonly share: Spread;
}

/**
 * Encrypts a table in slices, and does a bare update of the same bytes to another one in turns with it. Now and then the
 * process that encrypts is killed in the middle and another goes on. Then every row is read.
 */
export async function stressBackfill(options: StressOptions): Promise<StressResult> {
  const { url, rows, batchRows, slices, kills, onSlice } = options;
  const setup: WorkerSetup = { url, key: randomBytes(32).toString('base64'), batchRows };
  const knex = createKnex({ client: 'pg', connection: url, pool: { min: 0, max: 3 } });
  const workers = { backfill: await startWorker(WORKER, setup), bare: await startWorker(WORKER, setup) };
  try {
    for (const table of Object.values(TABLES)) await createTable(knex, table, rows);
    const cursors: { backfill?: string | undefined; bare?: string | undefined } = {};
    const sliceRows = Math.ceil(rows / slices);
    const times: { backfill: number[]; bare: number[] } = { backfill: [], bare: [] };
    let killed = 0;
    for (let slice = 1, done = false; !done; slice++) {
      if (kills.includes(slice)) {
        cursors.backfill = await killIn(workers.backfill, {
          contender: 'backfill',
          rows: sliceRows,
          cursor: cursors.backfill,
        });
        workers.backfill = await startWorker(WORKER, setup);
        killed++;
        continue;
      }
      for (const contender of slice % 2 === 0 ? (['backfill', 'bare'] as const) : (['bare', 'backfill'] as const)) {
        const task: SliceTask = { contender, rows: sliceRows, cursor: cursors[contender] };
        const result = await run(workers[contender], task);
        cursors[contender] = result.cursor;
        if (!result.done) times[contender].push((result.elapsedMs * 1000) / result.rows);
        if (contender === 'backfill') done = result.done;
      }
      onSlice?.(slice, slices);
    }
    // A server process hands in its statistics when it ends.
    await Promise.all(Object.values(workers).map(stop));
    return { rows, killed, ...(await verify(knex, setup, rows)), ...summary(times) };
  } finally {
    await Promise.all(Object.values(workers).map(stop));
    await knex.destroy();
  }
}

function summary(times: { readonly backfill: readonly number[]; readonly bare: readonly number[] }) {
  const pairs = Math.min(times.backfill.length, times.bare.length);
  // The first slice warms up.
  const shares = Array.from({ length: pairs }, (_, index) => Number(times.bare[index]) / Number(times.backfill[index]));
  return {
    backfill: spread(times.backfill.slice(1)),
    bare: spread(times.bare.slice(1)),
    share: spread(shares.slice(1)),
  };
}

async function run(worker: ChildProcess, task: SliceTask): Promise<SliceMessage> {
  const over = messageOf<WorkerMessage, 'slice'>(worker, 'slice');
  worker.send(task);
  return await over;
}

/** Kills the process some batches into the slice, and gives the last cursor that it told of. */
async function killIn(worker: ChildProcess, task: SliceTask): Promise<string | undefined> {
  let cursor = task.cursor;
  let batches = 0;
  const exited = once(worker, 'exit');
  worker.on('message', (message: WorkerMessage) => {
    // A slice that ends before is killed at its end: the run must not wait for a batch that never comes.
    if (message.kind === 'slice') worker.kill('SIGKILL');
    if (message.kind !== 'batch') return;
    cursor = message.cursor;
    if (++batches === 3) worker.kill('SIGKILL');
  });
  worker.send(task);
  const [code, signal] = (await exited) as [number | null, string | null];
  if (signal !== 'SIGKILL') throw new Error(`The worker that was to be killed ended by itself with ${code}.`);
  return cursor;
}

async function verify(knex: Knex, { key, batchRows }: WorkerSetup, rows: number) {
  const keyring = createKeyring({ keys: { v1: key }, activeKid: 'v1' });
  const column = { keyring, table: 'connections', column: 'credentials' } as const;
  const source = knexRowSource({ knex, table: TABLES.backfill, column: 'credentials', key: 'id' });
  const updates = await updatesOf(knex, TABLES.backfill, rows);
  const again = await backfill({
    codec: columnCodec({ ...column, legacy: 'allow' }),
    source,
    from: { plaintext: true },
    batchRows,
  });
  const codec = columnCodec(column);
  await finalise({ codec, source, from: { plaintext: true } });
  let intact = 0;
  let after: string | undefined;
  do {
    const page = await source.scan({ after, limit: batchRows });
    for (const row of page.rows) {
      if (isDeepStrictEqual(codec.decode(row.stored, row), credentialsOf(Number(row.key.id)))) intact++;
    }
    after = page.cursor;
  } while (after !== undefined);
  return { lost: rows - intact, updatesTooMany: updates - rows, leftOver: again.converted };
}

/** How often the database set a row of the table, once its statistics have come to rest. */
async function updatesOf(knex: Knex, table: string, expected: number): Promise<number> {
  const sql = 'select n_tup_upd::float8 as updates from pg_stat_user_tables where relname = ?';
  for (let waits = 0; ; waits++) {
    await sleep(SETTLE_MS);
    const { rows } = (await knex.raw(sql, [table])) as { rows: readonly { updates: number }[] };
    const updates = rows[0]?.updates ?? 0;
    if (updates >= expected || waits === MAX_WAITS) return updates;
  }
}
