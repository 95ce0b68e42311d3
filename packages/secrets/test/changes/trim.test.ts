import { randomUUID } from 'node:crypto';
import type { ChangeWatch } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Fixture, openFixture, rejection } from '../support.ts';
import { insertChanges, queriesOf, summary, take } from './support.ts';

const POLL = { pollMs: 10 };

describeEachEngine('trimming changes', (engine) => {
  let fixture: Fixture;
  let tenantId: string;

  beforeAll(async () => {
    fixture = await openFixture(engine, { changeFeed: true });
    await fixture.store.ready();
  });
  afterAll(async () => await fixture?.close());
  beforeEach(async () => {
    tenantId = randomUUID();
    await fixture.knex('secret_changes').delete();
    await fixture.knex('secret_leases').delete();
  });

  const left = async (): Promise<number> => (await fixture.knex('secret_changes')).length;

  /** Trims until so many are gone: a transaction on any database of the server holds it up. */
  async function trimmed(count: number, keepMs: number): Promise<number> {
    let deleted = 0;
    for (const deadline = Date.now() + 10_000; deleted < count && Date.now() < deadline; ) {
      deleted += await fixture.store.trimChanges({ keepMs });
    }
    return deleted;
  }

  /** A watch that has done the trimming that watches do. */
  async function startedWatch(): Promise<ChangeWatch> {
    const watch = fixture.reopen(fixture.root).watch(POLL);
    await watch.start();
    const state = async (): Promise<unknown> =>
      (await fixture.knex('secret_leases').where({ name: 'changes' }).first()) ?? {};
    for (const deadline = Date.now() + 5_000; Date.now() < deadline; ) {
      const lease = (await state()) as { state?: string; holder?: string | null };
      if (lease.state?.includes('"marks":[[') && lease.holder === null) return watch;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error('a watch did not trim');
  }

  it('keeps what was committed less than keepMs ago, and deletes what is older, in batches', async () => {
    await insertChanges(fixture.knex, 2_300);
    expect(await fixture.store.trimChanges({ keepMs: 200 })).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 250));
    await insertChanges(fixture.knex, 7, 'young');
    const queries = queriesOf(fixture.knex);
    expect(await trimmed(2_300, 200)).toBe(2_300);
    // More than three where a transaction elsewhere on the server held a batch up.
    const batches = queries.filter((sql) => /delete from/.test(sql) && sql.includes('secret_changes'));
    expect(batches.length).toBeGreaterThanOrEqual(3);
    expect(await left()).toBe(7);
  });

  it('counts from the commit, not from when a change was written', async () => {
    if (engine.dialect === 'postgres') {
      const trx = await fixture.knex.transaction();
      await fixture.tenant(tenantId, trx).save('slow', 'x');
      await fixture.store.trimChanges({ keepMs: 100 });
      await new Promise((resolve) => setTimeout(resolve, 150));
      await trx.commit();
    } else {
      await fixture.store.trimChanges({ keepMs: 100 });
      await new Promise((resolve) => setTimeout(resolve, 150));
      await fixture.tenant(tenantId).save('slow', 'x');
    }
    expect(await fixture.store.trimChanges({ keepMs: 100 })).toBe(0);
    expect(await left()).toBe(1);
  });

  it('says reset to a watch whose cursor is older than what is kept, and goes on from then', async () => {
    const watch = await startedWatch();
    const { cursor } = watch;
    await fixture.tenant(tenantId).save('lost', 'x');
    expect(await trimmed(1, 0)).toBe(1);
    const late = fixture.store.watch({ ...POLL, from: cursor });
    expect((await take(late, 1)).map(summary)).toEqual(['reset']);
    const after = late.cursor;
    await fixture.tenant(tenantId).save('next', 'x');
    expect((await take(late, 1)).map(summary)).toEqual(['save next 1']);
    expect((await take(fixture.store.watch({ ...POLL, from: after }), 1)).map(summary)).toEqual(['save next 1']);
  });

  it('does not disturb a watch that keeps up', async () => {
    const watch = await startedWatch();
    let deleted = 0;
    for (let round = 1; round <= 12; round++) {
      const next = take(watch, 1);
      deleted += await fixture.store.trimChanges({ keepMs: 250 });
      await fixture.tenant(tenantId).save('a', 'x');
      expect((await next).map(summary)).toEqual([`save a ${round}`]);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(deleted).toBeGreaterThan(0);
  });

  it('starts with the oldest that is kept after a trim, over more than a page', async () => {
    await insertChanges(fixture.knex, 5);
    expect(await trimmed(5, 0)).toBe(5);
    await insertChanges(fixture.knex, 700, 'kept');
    const events = await take(fixture.store.watch({ ...POLL, from: 'oldest' }), 700);
    expect(events.every((event) => event.type === 'change' && event.tenantId === 'kept')).toBe(true);
  });

  it('is done by one process at a time, and stops where its signal says', async () => {
    await fixture.knex('secret_leases').insert({
      name: 'changes',
      holder: crypto.randomUUID(),
      fence: 1,
      expires_at: new Date(Date.now() + 60_000),
      state: null,
    });
    expect((await rejection(fixture.store.trimChanges())).code).toBe('ERR_SECRETS_LEASE_HELD');
    await fixture.knex('secret_leases').update({ holder: null });
    const aborted = fixture.store.trimChanges({ signal: AbortSignal.abort() });
    expect((await rejection(aborted)).code).toBe('ERR_SECRETS_ABORTED');
    expect(await fixture.store.trimChanges()).toBe(0);
  });

  it('is done by whoever watches every tenant', async () => {
    expect((await startedWatch()).cursor).toBeDefined();
  });

  it.each([{ keepMs: -1 }, { keepMs: 1.5 }, { signal: 'x' }])('refuses %j', async (options) => {
    expect((await rejection(fixture.store.trimChanges(options as never))).code).toBe('ERR_SECRETS_INVALID_ARGUMENT');
  });
});
