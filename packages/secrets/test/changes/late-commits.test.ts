import type { SecretChange } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fixture, openFixture } from '../support.ts';
import { collect, insertChanges, queriesOf, summary, take } from './support.ts';

describeEachEngine(
  'watching changes beside open transactions',
  (engine) => {
    let fixture: Fixture;

    beforeAll(async () => {
      fixture = await openFixture(engine, { changeFeed: true });
      await fixture.tenant('t').save('first', 'x');
    });
    afterAll(async () => await fixture?.close());

    it('neither hides others behind a transaction that stays open, nor skips it when it commits', async () => {
      const watch = fixture.store.watch({ pollMs: 10 });
      await watch.start();
      const trx = await fixture.knex.transaction();
      await fixture.tenant('t', trx).save('early', 'x');
      await fixture.tenant('t').save('between', 'x');
      expect((await take(watch, 1)).map(summary)).toEqual(['save between 1']);
      const { cursor } = watch;
      await fixture.tenant('t').save('between', 'y');
      expect((await take(watch, 1)).map(summary)).toEqual(['save between 2']);
      await trx.commit();
      expect((await take(watch, 1)).map(summary)).toEqual(['save early 1']);
      // one that starts again from before, with the transaction in its cursor
      const again = fixture.store.watch({ pollMs: 10, from: cursor });
      expect((await take(again, 2)).map(summary).toSorted()).toEqual(['save between 2', 'save early 1']);
    });

    it('tells a change in a savepoint with the transaction around it', async () => {
      const watch = fixture.store.watch({ pollMs: 10 });
      await watch.start();
      const trx = await fixture.knex.transaction();
      const savepoint = await trx.transaction();
      await fixture.tenant('t', savepoint).save('inside', 'x');
      await savepoint.commit();
      await fixture.tenant('t').save('other', 'x');
      expect((await take(watch, 1)).map(summary)).toEqual(['save other 1']);
      await trx.commit();
      expect((await take(watch, 1)).map(summary)).toEqual(['save inside 1']);
    });

    it('does not read again what it has read while a transaction stays open', async () => {
      const watch = fixture.store.watch({ pollMs: 10 });
      await watch.start();
      const trx = await fixture.knex.transaction();
      await fixture.tenant('t', trx).save('kept open', 'x');
      await insertChanges(fixture.knex, 1_000);
      await take(watch, 1_000);
      const plan = await pollPlan(fixture, String(watch.cursor));
      await trx.rollback();
      expect(plan.rows).toBe(0);
      expect(plan.text).toContain('secret_changes_position');
      expect(plan.text).not.toContain('Seq Scan on secret_changes');
    });

    it('hands out each committed change exactly once, whatever order transactions commit in', async () => {
      const stop = new AbortController();
      const watch = fixture.store.watch({ pollMs: 10, tenantId: 'crowd', signal: stop.signal });
      await watch.start();
      const collected = collect(watch);
      const committed: string[] = [];
      const worker = async (number: number): Promise<void> => {
        for (let round = 0; round < 25; round++) {
          const trx = await fixture.knex.transaction();
          const names: string[] = [];
          for (let each = 0; each <= (number + round) % 3; each++) {
            const name = `${number}/${round}/${each}`;
            await insertOne(trx, name);
            names.push(name);
            await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
          }
          if ((number * 7 + round) % 4 === 0) await trx.rollback();
          else {
            await trx.commit();
            committed.push(...names);
          }
        }
      };
      await Promise.all([0, 1, 2, 3, 4, 5].map(worker));
      await new Promise((resolve) => setTimeout(resolve, 300));
      stop.abort();
      const told = (await collected).map((event) => (event as SecretChange).name);
      expect(told.toSorted()).toEqual(committed.toSorted());
    });

    it('leaves out what a dump brought from another server, whose transactions are not of this one', async () => {
      const watch = fixture.store.watch({ pollMs: 10 });
      await watch.start();
      await fixture.knex('secret_changes').insert({
        position: fixture.knex.raw("'9000000000000'::xid8"),
        tenant_id: 't',
        id: crypto.randomUUID(),
        at: new Date(),
        kind: 'save',
        secret_id: crypto.randomUUID(),
        secret_name: 'foreign',
        version: 1,
      });
      await fixture.tenant('t').save('ours', 'x');
      expect((await take(watch, 1)).map(summary)).toEqual(['save ours 1']);
      await fixture.tenant('t').save('ours', 'y');
      expect((await take(watch, 1)).map(summary)).toEqual(['save ours 2']);
      await fixture.knex('secret_changes').where({ secret_name: 'foreign' }).delete();
    });

    it('says reset where the server was put back to before the cursor', async () => {
      const cursor = Buffer.from(JSON.stringify(['8000000000000:8000000000000:'])).toString('base64url');
      const watch = fixture.store.watch({ pollMs: 10, from: cursor });
      expect((await take(watch, 1)).map(summary)).toEqual(['reset']);
      await fixture.tenant('t').save('after', 'x');
      expect((await take(watch, 1)).map(summary)).toEqual(['save after 1']);
    });

    it('sends no NOTIFY with a save, in its transaction or out of it', async () => {
      const queries = queriesOf(fixture.knex);
      await fixture.tenant('t').save('quiet', 'x');
      await fixture.knex.transaction((trx) => fixture.tenant('t', trx).save('quiet', 'y'));
      expect(queries.some((sql) => sql.includes('secret_changes'))).toBe(true);
      expect(queries.filter((sql) => /notify/i.test(sql))).toEqual([]);
    });
  },
  { engines: 'postgres' },
);

describe('a cursor', () => {
  it('is as long as the transactions that were open, not as what was committed meanwhile', async () => {
    const { snapshotText, parseSnapshot } = await import('../../src/changes/snapshot.ts');
    expect(parseSnapshot('10:20:12,13')).toEqual({ xmin: '10', xmax: '20', xip: ['12', '13'] });
    expect(snapshotText({ xmin: '10', xmax: '20', xip: [] })).toBe('10:20:');
    for (const bad of ['', '1:2', '1:2:3,', 'a:b:c', '1:2:3;4', null]) expect(parseSnapshot(bad)).toBeUndefined();
  });
});

async function insertOne(db: Fixture['knex'], name: string): Promise<void> {
  await db('secret_changes').insert({
    tenant_id: 'crowd',
    id: crypto.randomUUID(),
    at: new Date(),
    kind: 'save',
    secret_id: crypto.randomUUID(),
    secret_name: name,
    version: 1,
  });
}

/** The plan of the next poll from a cursor, as PostgreSQL carried it out over a table that has been analysed. */
async function pollPlan({ knex }: Fixture, cursor: string): Promise<{ readonly text: string; readonly rows: number }> {
  await knex.raw('analyze secret_changes');
  const { postgresSource } = await import('../../src/changes/postgres-source.ts');
  const { createTables } = await import('../../src/tables.ts');
  const source = postgresSource(createTables(undefined));
  const position = source.decode(Buffer.from(cursor, 'base64url').toString());
  if (position === undefined) throw new Error('no cursor');
  let explained = '';
  const explaining = {
    raw: async (sql: string, bindings: never) => {
      const { rows } = (await knex.raw(`explain (analyze, timing off, summary off) ${sql}`, bindings)) as {
        rows: readonly { 'QUERY PLAN': string }[];
      };
      explained = rows.map((row) => row['QUERY PLAN']).join('\n');
      return await knex.raw(sql, bindings);
    },
  };
  const page = await source.read(explaining as never, position, { tenantId: undefined, names: undefined });
  return { text: explained, rows: page.changes.length };
}
