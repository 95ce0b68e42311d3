import { randomUUID } from 'node:crypto';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { insertChanges as writeChanges } from '../../src/changes/record.ts';
import { createTables } from '../../src/tables.ts';
import { type Fixture, openFixture, rejection } from '../support.ts';
import { insertChanges, queriesDuring, queriesOf, summary, take, takeChanges } from './support.ts';

const POLL = { pollMs: 10 };

describeEachEngine('watching changes', (engine) => {
  let fixture: Fixture;

  beforeAll(async () => {
    fixture = await openFixture(engine, { changeFeed: true });
    await fixture.store.ready();
  });
  afterAll(async () => await fixture?.close());
  beforeEach(async () => {
    await fixture.knex('secret_changes').delete();
  });

  it('tells every kind of change once, in order, with the name before a rename', async () => {
    const watch = fixture.store.watch(POLL);
    await watch.start();
    const tenant = fixture.tenant('kinds');
    const before = Date.now();
    const saved = await tenant.save('a', { one: 1 });
    await tenant.update('a', { metadata: { env: 'live' } });
    await tenant.merge('a', { two: 2 });
    await tenant.rename('a', 'b');
    await tenant.rollback('b', 1);
    await tenant.destroy('b', [2]);
    await tenant.delete('b');
    await tenant.restore({ id: saved.id });
    await tenant.delete('b');
    await tenant.purge({ id: saved.id });
    const changes = await takeChanges(watch, 10);
    expect(changes.map(summary)).toEqual([
      'save a 1',
      'update a 1',
      'merge a 2',
      'rename b 2',
      'rollback b 3',
      'destroy b 2',
      'delete b 3',
      'restore b 3',
      'delete b 3',
      'purge b 3',
    ]);
    expect(new Set(changes.map(({ secretId }) => secretId))).toEqual(new Set([saved.id]));
    expect(changes.map(({ previousName }) => previousName)).toEqual(
      changes.map(({ kind }) => (kind === 'rename' ? 'a' : null)),
    );
    expect(changes.every(({ tenantId, at }) => tenantId === 'kinds' && at.getTime() >= before)).toBe(true);
    expect(await fixture.knex('secret_changes')).toHaveLength(10);
  });

  it('writes the changes that a call makes at once', async () => {
    const tenant = fixture.tenant('many');
    for (const name of ['a', 'b', 'c']) await tenant.save(name, 'x');
    for (const value of ['1', '2', '3']) await tenant.save('c', value);
    for (const name of ['a', 'b']) await tenant.delete(name);
    const watch = fixture.store.watch(POLL);
    await watch.start();
    const queries = await queriesDuring(fixture.knex, async () => {
      await tenant.destroy('c', [1, 2, 3]);
      await tenant.purgeDeleted();
    });
    expect(queries.filter((sql) => /^insert into .secret_changes/.test(sql))).toHaveLength(2);
    const changes = (await take(watch, 5)).map(summary);
    expect(changes.toSorted()).toEqual(['destroy c 1', 'destroy c 2', 'destroy c 3', 'purge a 1', 'purge b 1']);
  });

  it('takes more changes of one call than a statement does', async () => {
    const change = { kind: 'purge', tenantId: 'bulk', secretId: randomUUID(), name: 'x', version: 1 } as const;
    await writeChanges(
      fixture.knex,
      createTables(undefined),
      Array.from({ length: 1_001 }, () => change),
    );
    expect(await fixture.knex('secret_changes').where({ tenant_id: 'bulk' })).toHaveLength(1_001);
  });

  it('tells what a transaction of the caller did when it commits, and nothing of one that rolled back', async () => {
    const watch = fixture.store.watch(POLL);
    await watch.start();
    await rejection(
      fixture.knex.transaction(async (trx) => {
        await fixture.tenant('trx', trx).save('undone', 'x');
        throw new Error('rolled back');
      }),
    );
    await fixture.knex.transaction(async (trx) => {
      await fixture.tenant('trx', trx).save('one', 'x');
      await rejection(fixture.tenant('trx', trx).save('one', 'x', { ifAbsent: true }));
      await fixture.tenant('trx', trx).save('two', 'x');
    });
    expect((await take(watch, 2)).map(summary)).toEqual(['save one 1', 'save two 1']);
    await fixture.tenant('trx').delete('one');
    expect((await take(watch, 1)).map(summary)).toEqual(['delete one 1']);
  });

  it('writes no row for a change that is refused', async () => {
    await fixture.tenant('refused').save('a', 'x');
    await rejection(fixture.tenant('refused').save('a', 'x', { ifAbsent: true }));
    await rejection(fixture.tenant('refused').delete('b'));
    expect(await fixture.knex('secret_changes')).toHaveLength(1);
  });

  it('tells one tenant or some names only, a renamed secret under both of its names', async () => {
    const ofTenant = fixture.store.watch({ ...POLL, tenantId: 'mine' });
    const ofNames = fixture.store.watch({ ...POLL, names: ['old', 'new'] });
    await Promise.all([ofTenant.start(), ofNames.start()]);
    await fixture.tenant('other').save('old', 'x');
    await fixture.tenant('mine').save('old', 'x');
    await fixture.tenant('mine').save('between', 'x');
    await fixture.tenant('mine').rename('old', 'elsewhere');
    await fixture.tenant('other').save('new', 'x');
    expect((await take(ofTenant, 3)).map(summary)).toEqual(['save old 1', 'save between 1', 'rename elsewhere 1']);
    const named = await takeChanges(ofNames, 4);
    expect(named.map((event) => `${event.tenantId} ${summary(event)}`)).toEqual([
      'other save old 1',
      'mine save old 1',
      'mine rename elsewhere 1',
      'other save new 1',
    ]);
  });

  it('goes on after a restart where the last kept cursor says, within a page too', async () => {
    const first = fixture.store.watch(POLL);
    await first.start();
    expect(typeof first.cursor).toBe('string');
    await insertChanges(fixture.knex, 1_200);
    const seen = (await takeChanges(first, 700)).map(({ name }) => name);
    const { cursor } = first;
    await insertChanges(fixture.knex, 3, 'later');
    // another process, with nothing but the cursor
    const second = fixture.reopen(fixture.root).watch({ ...POLL, from: cursor });
    const rest = (await takeChanges(second, 503)).map(({ name, tenantId }) => `${tenantId} ${name}`);
    expect(new Set([...seen.map((name) => `bulk ${name}`), ...rest]).size).toBe(1_203);
    expect(rest.slice(-3).every((name) => name.startsWith('later'))).toBe(true);
    const third = fixture.store.watch({ ...POLL, from: second.cursor });
    await fixture.tenant('after').save('a', 'x');
    expect((await take(third, 1)).map(summary)).toEqual(['save a 1']);
  });

  it('hands out again what was handed out after the kept cursor', async () => {
    const watch = fixture.store.watch(POLL);
    await watch.start();
    const { cursor } = watch;
    await fixture.tenant('again').save('a', 'x');
    const [first] = await takeChanges(watch, 1);
    const [second] = await takeChanges(fixture.store.watch({ ...POLL, from: cursor }), 1);
    expect(second).toEqual(first);
  });

  it('starts with the oldest kept change where asked to', async () => {
    await insertChanges(fixture.knex, 600);
    const names = (await takeChanges(fixture.store.watch({ ...POLL, from: 'oldest' }), 600)).map(({ name }) => name);
    expect(new Set(names).size).toBe(600);
  });

  it('does not ask again while its consumer works, and reads a page at most ahead', async () => {
    const watch = fixture.store.watch({ pollMs: 10 });
    await watch.start();
    await insertChanges(fixture.knex, 1_200);
    await take(watch, 1);
    const queries = queriesOf(fixture.knex);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const polls = (): number => queries.filter((sql) => sql.includes('secret_changes')).length;
    expect(polls()).toBe(0);
    await take(watch, 499);
    expect(polls()).toBe(0);
    await take(watch, 1);
    expect(polls()).toBe(1);
  });

  it('wakes for a change of its own process without waiting for its next poll', async () => {
    const watch = fixture.store.watch({ pollMs: 60_000 });
    await watch.start();
    const next = take(watch, 1);
    await fixture.tenant('own').save('a', 'x');
    expect((await next).map(summary)).toEqual(['save a 1']);
  });

  describe('ending', () => {
    it('ends with its signal, while waiting and while being started', async () => {
      const stop = new AbortController();
      const watch = fixture.store.watch({ pollMs: 60_000, signal: stop.signal });
      await watch.start();
      const end = take(watch, 1);
      stop.abort();
      expect(await end).toEqual([]);
      const late = fixture.store.watch({ signal: AbortSignal.abort() });
      await late.start();
      expect(await take(late, 1)).toEqual([]);
    });

    it('ends when the store is closed', async () => {
      const store = fixture.reopen(fixture.root);
      const watch = store.watch({ pollMs: 60_000 });
      await watch.start();
      const end = take(watch, 1);
      await store.close();
      expect(await end).toEqual([]);
    });

    it('asks no more after a break', async () => {
      const watch = fixture.store.watch(POLL);
      await watch.start();
      await fixture.tenant('break').save('a', 'x');
      for await (const event of watch) if (event.type === 'change') break;
      const queries = queriesOf(fixture.knex);
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(queries.filter((sql) => sql.includes('secret_changes'))).toEqual([]);
      expect(await take(watch, 1)).toEqual([]);
    });
  });

  it.each([
    ['tenantId', { tenantId: '$system' }],
    ['tenantId', { tenantId: '' }],
    ['names', { names: [] }],
    ['names', { names: 'a' }],
    ['names', { names: ['\0'] }],
    ['pollMs', { pollMs: 0 }],
    ['pollMs', { pollMs: Number.NaN }],
    ['signal', { signal: {} }],
    ['from', { from: 'yesterday' }],
    ['from', { from: Buffer.from('["1:2:;drop"]').toString('base64url') }],
    ['from', { from: Buffer.from('["1:99999999999999999999:"]').toString('base64url') }],
    ['from', { from: Buffer.from('[-1]').toString('base64url') }],
    ['from', { from: 7 }],
  ])('refuses %s of %j', (argument, options) => {
    const watch = (): unknown => fixture.store.watch(options as never);
    expect(watch).toThrow(
      expect.objectContaining({ code: 'ERR_SECRETS_INVALID_ARGUMENT', context: expect.objectContaining({ argument }) }),
    );
  });

  it('refuses to watch without changeFeed, and on a transaction', async () => {
    const without = fixture.reopen(fixture.root, { changeFeed: false });
    expect(() => without.watch()).toThrow(expect.objectContaining({ code: 'ERR_SECRETS_INVALID_ARGUMENT' }));
    await fixture.knex.transaction(async (trx) => {
      const inside = fixture.reopen(fixture.root, { knex: trx });
      expect(() => inside.watch()).toThrow(expect.objectContaining({ code: 'ERR_SECRETS_INVALID_ARGUMENT' }));
    });
  });

  it('throws what asking again cannot mend, and says nothing of the SQL', async () => {
    const nowhere = fixture.reopen(fixture.root, { tables: { prefix: 'nowhere_' } });
    const error = await rejection(take(nowhere.watch(POLL), 1));
    expect(error.code).toBe('ERR_SECRETS_NOT_MIGRATED');
    expect(String(error.message)).not.toContain('nowhere_');
  });
});
