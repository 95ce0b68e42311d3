// A process that does slices of one of the two tables, one after the other, and may be killed in between. Uses the built
// package.
import { createKeyring } from '@keywright/envelope';
import { columnCodec } from '@keywright/envelope/columns';
import { backfill, knexRowSource } from '@keywright/envelope/migrate';
import createKnex from 'knex';
import { type SliceMessage, type SliceTask, TABLES, type WorkerMessage, type WorkerSetup } from './protocol.ts';
import { credentialsOf } from './rows.ts';

const setup = JSON.parse(process.argv[2] ?? '') as WorkerSetup;
const knex = createKnex({ client: 'pg', connection: setup.url, pool: { min: 2, max: 2 } });
const keyring = createKeyring({ keys: { v1: setup.key }, activeKid: 'v1' });
const codec = columnCodec({ keyring, table: 'connections', column: 'credentials', legacy: 'allow' });
const source = knexRowSource({ knex, table: TABLES.backfill, column: 'credentials', key: 'id' });
const send = (message: WorkerMessage): void => void process.send?.(message);

process.on('message', (task: SliceTask) => {
  void (task.contender === 'bare' ? bare(task) : encrypt(task)).then(send);
});
process.on('disconnect', () => void knex.destroy());
await Promise.all([knex.raw('select 1'), knex.raw('select 1')]);
send({ kind: 'ready' });

async function encrypt({ rows, cursor }: SliceTask): Promise<SliceMessage> {
  const controller = new AbortController();
  const start = performance.now();
  const result = await backfill({
    codec,
    source,
    from: { plaintext: true },
    batchRows: setup.batchRows,
    cursor,
    signal: controller.signal,
    onProgress: (progress) => {
      send({ kind: 'batch', cursor: progress.cursor });
      if (progress.scanned >= rows) controller.abort();
    },
  });
  const elapsedMs = performance.now() - start;
  if (result.failed + result.changed > 0) throw new Error('Nobody else writes to this table.');
  return { kind: 'slice', cursor: result.cursor, done: result.done, rows: result.scanned, elapsedMs };
}

/** The least that such a run can do: find the next keys, and set as many bytes as the backfill sets. */
async function bare({ rows, cursor }: SliceTask): Promise<SliceMessage> {
  const token = codec.encode(credentialsOf(1_000_000), { key: { id: 1 } }) as string;
  const start = performance.now();
  let after = cursor ?? '0';
  let seen = 0;
  for (let done = false; !done && seen < rows; ) {
    const page = await knex.raw('select id from ?? where id > ?::bigint order by id limit ?', [
      TABLES.bare,
      after,
      setup.batchRows,
    ]);
    const ids = (page.rows as { id: string }[]).map(({ id }) => id);
    done = ids.length < setup.batchRows;
    if (ids.length === 0) break;
    await knex.raw(
      'update ?? as t set credentials = v.next from unnest(?::bigint[], ?::text[]) as v(id, next) where t.id = v.id',
      [TABLES.bare, ids, ids.map(() => token)],
    );
    after = ids.at(-1) as string;
    seen += ids.length;
  }
  return { kind: 'slice', cursor: after, done: seen < rows, rows: seen, elapsedMs: performance.now() - start };
}
