import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { BackfillResult } from '@keywright/envelope/migrate';
import { describeEachEngine, type TestEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { codecOf, createConnections, credentialsOf, type Fixture, KEYS, openDatabase } from './support.ts';
import type { BackfillMessage, BackfillSetup } from './workers/backfill.ts';

const ROWS = 20_000;
/** Batches after which a process is killed, one process after the other; the last one is left to finish. */
const KILLED_AFTER = [3, 12, 20];

interface Run {
  readonly batches: number;
  readonly cursor: string | undefined;
  /** `undefined` for a process that was killed. */
  readonly result: BackfillResult | undefined;
}

describeEachEngine('a backfill whose process is killed', (engine) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await openDatabase(engine);
    await createConnections(fixture.knex, ROWS);
    await countChanges(fixture.knex, engine);
  });
  afterAll(async () => {
    await fixture?.close();
  });

  it('loses no row and converts none twice', { timeout: 60_000 }, async () => {
    const setup = { url: fixture.url, keys: KEYS, batchRows: 250 };
    let cursor: string | undefined;
    for (const [index, killAfter] of KILLED_AFTER.entries()) {
      const run = await start({ ...setup, cursor }, killAfter);
      expect(run.result).toBeUndefined();
      expect(run.batches).toBeGreaterThanOrEqual(killAfter);
      // One goes on from the last cursor that was heard of, the next starts over.
      cursor = index % 2 === 0 ? run.cursor : undefined;
      expect(await fixture.knex('changes').count({ rows: '*' }).first()).not.toEqual({ rows: 0 });
    }
    const plain = await fixture.knex('connections').whereLike('credentials', '{%').count({ rows: '*' }).first();
    expect(Number(plain?.rows)).toBeGreaterThan(0); // it really was killed on the way
    const { result } = await start(setup, Number.POSITIVE_INFINITY);
    expect(result).toMatchObject({ scanned: ROWS, converted: Number(plain?.rows), changed: 0, failed: 0, done: true });

    const codec = codecOf();
    const rows = (await fixture.knex('connections').orderBy('id')) as { id: number; credentials: string }[];
    expect(rows).toHaveLength(ROWS);
    for (const { id, credentials } of rows) {
      if (codec.decode(credentials, { key: { id } })?.apiKey !== credentialsOf(id).apiKey) expect.fail(`row ${id}`);
    }
    const twice = await fixture.knex('changes').select('id').groupBy('id').havingRaw('count(*) <> 1');
    expect(twice).toEqual([]);
    expect(
      await fixture
        .knex('changes')
        .count({ rows: '*' })
        .first()
        .then((row) => Number(row?.rows)),
    ).toBe(ROWS);
  });
});

/** The database itself writes down each time that a value is set. */
async function countChanges(knex: Knex, engine: TestEngine): Promise<void> {
  await knex.raw('create table changes (id integer not null)');
  if (engine.name === 'sqlite') {
    await knex.raw(
      'create trigger counted after update of credentials on connections begin insert into changes values (new.id); end',
    );
    return;
  }
  await knex.raw(
    "create function counted() returns trigger language plpgsql as 'begin insert into changes values (new.id); return new; end'",
  );
  await knex.raw(
    'create trigger counted after update of credentials on connections for each row execute function counted()',
  );
}

/** Starts a process and, once it has told of so many batches, kills it with no chance to clean up. */
async function start(setup: BackfillSetup, killAfter: number): Promise<Run> {
  const script = fileURLToPath(new URL('./workers/backfill.ts', import.meta.url));
  const child = fork(script, [JSON.stringify(setup)], { execArgv: [] });
  let batches = 0;
  let cursor: string | undefined;
  let result: BackfillResult | undefined;
  child.on('message', (message: BackfillMessage) => {
    if ('result' in message) result = message.result;
    else {
      cursor = message.progress.cursor;
      if (++batches === killAfter) child.kill('SIGKILL');
    }
  });
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  expect([code, signal]).toEqual(Number.isFinite(killAfter) ? [null, 'SIGKILL'] : [0, null]);
  return { batches, cursor, result };
}
