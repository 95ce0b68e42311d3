import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dialectOf } from '../src/dialects/index.ts';
import { type BatchEnvironment, eachAtOnce, inBatches, writeAround, writeBatch } from '../src/keys/batches.ts';
import { createTables } from '../src/tables.ts';
import { type Fixture, openFixture, rejection, wrapperOf } from './support.ts';

describeEachEngine('a batch', (engine) => {
  let fixture: Fixture;
  let env: BatchEnvironment;

  beforeAll(async () => {
    fixture = await openFixture(engine);
    env = { knex: fixture.knex, dialect: dialectOf(fixture.knex), tables: createTables(undefined) };
    await fixture.store.ready();
  });
  afterAll(async () => {
    await fixture?.close();
  });

  it('that would wait for a lock gives way, and is written without it', async () => {
    const asked: boolean[] = [];
    const work = async (_trx: unknown, skipLocked: boolean): Promise<string> => {
      asked.push(skipLocked);
      if (!skipLocked) throw Object.assign(new Error('lock timeout'), { code: '55P03' });
      return 'written';
    };
    if (engine.name === 'sqlite') await rejection(writeAround(env, work));
    else expect(await writeAround(env, work)).toBe('written');
    expect(asked).toEqual(engine.name === 'sqlite' ? [false] : [false, true]);
    // and another error is another error
    const failing = writeAround(env, async () => Promise.reject(Object.assign(new Error('x'), { code: '23505' })));
    expect(await rejection(failing)).toMatchObject({ code: '23505' });
  });

  it('that sets nothing where only one of old and new is null', async () => {
    const rows = ['null', 'both', 'other'].map((name) => ({ name: `n ${name}`, fence: 1, expires_at: new Date() }));
    await fixture.knex('secret_leases').insert([
      { ...rows[0], state: null },
      { ...rows[1], state: 'x' },
      { ...rows[2], state: null },
    ]);
    const updated = await writeBatch(env, (trx) =>
      env.dialect.updateMany(trx, {
        table: 'secret_leases',
        where: {},
        key: [{ column: 'name', kind: 'text', values: ['n null', 'n both', 'n other'] }],
        unchanged: [],
        keepNulls: ['state'],
        set: [
          { column: 'state', kind: 'text', values: ['y', 'y', null] },
          { column: 'fence', kind: 'integer', values: [7, 7, 7] },
        ],
        skipLocked: false,
      }),
    );
    expect(updated).toBe(2);
    expect(await fixture.knex('secret_leases').where({ name: 'n null' }).first('state')).toEqual({ state: null });
    expect(await fixture.knex('secret_leases').where({ name: 'n both' }).first('state')).toEqual({ state: 'y' });
  });

  it('of thousands of rows sets those that are as they were read, and no others', async () => {
    const count = 7_000;
    const names = Array.from({ length: count }, (_, index) => `row ${index}`);
    for (let from = 0; from < count; from += 500) {
      const rows = names
        .slice(from, from + 500)
        .map((name) => ({ name, fence: 1, expires_at: new Date(), state: 'old' }));
      await fixture.knex('secret_leases').insert(rows);
    }
    await fixture.knex('secret_leases').where({ name: 'row 17' }).update({ state: 'newer' });
    await fixture.knex('secret_leases').where({ name: 'row 18' }).update({ state: null });
    await fixture.knex('secret_leases').where({ name: 'row 19' }).delete();
    for (const skipLocked of [true, false]) {
      const [before, after] = skipLocked ? ['old', 'new'] : ['new', 'newest'];
      const updated = await writeBatch(env, (trx) =>
        env.dialect.updateMany(trx, {
          table: 'secret_leases',
          where: {},
          key: [{ column: 'name', kind: 'text', values: names }],
          unchanged: [{ column: 'state', kind: 'text', values: names.map(() => before) }],
          set: [
            { column: 'state', kind: 'text', values: names.map(() => after) },
            { column: 'fence', kind: 'integer', values: names.map((_, index) => index) },
          ],
          skipLocked,
        }),
      );
      expect(updated).toBe(count - 3);
      const set = await fixture.knex('secret_leases').where({ state: after }).select('name', 'fence');
      expect(set).toHaveLength(count - 3);
      expect(set.every(({ name, fence }) => name === `row ${Number(fence)}`)).toBe(true);
    }
    expect(await fixture.knex('secret_leases').where({ name: 'row 17' }).first('state')).toEqual({ state: 'newer' });
  });

  it('asks a remote root key for several keys at a time, and not for all', async () => {
    const tenants = Array.from({ length: 40 }, (_, index) => `many-${index}`);
    for (const tenant of tenants) await fixture.tenant(tenant).save('key', tenant);
    const both = createKeyring({ keys: { ...fixture.keys, v2: generateKeyBase64() }, activeKid: 'v2' });
    let now = 0;
    let most = 0;
    const counted = async <T>(call: () => Promise<T>): Promise<T> => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 2));
      return await call().finally(() => now--);
    };
    const remote = wrapperOf(both, {
      wrapKey: (key, options) => counted(() => both.wrapKey(key, options)),
      unwrapKey: (wrapped, options) => counted(() => both.unwrapKey(wrapped, options)),
    });
    await fixture.reopen(remote).rotateRoot({ actor: 'x' });
    expect(most).toBe(8);
    expect((await fixture.reopen(both).tenant('many-7', { actor: 'x' }).get('key')).value).toBe('many-7');
  });
});

it('work on many items begins no other after one has failed, and waits for what is under way', async () => {
  const begun: number[] = [];
  const ended: number[] = [];
  const work = async (item: number): Promise<void> => {
    begun.push(item);
    await new Promise((resolve) => setTimeout(resolve, item === 1 ? 1 : 10));
    if (item === 1) throw new Error('one');
    ended.push(item);
  };
  const error = await rejection(eachAtOnce([0, 1, 2, 3, 4, 5], 3, work));
  expect(error.message).toBe('one');
  expect([begun, ended]).toEqual([
    [0, 1, 2],
    [0, 2],
  ]);
});

it('work that fails has ended as a whole when it says so', async () => {
  let writing = false;
  const error = await rejection(
    inBatches<number, number>({
      signal: undefined,
      read: async (after = 0) => [after + 1],
      prepare: async ([row = 0]) => {
        if (row === 2) throw new Error('second');
        return row;
      },
      write: async () => {
        writing = true;
        await new Promise((resolve) => setTimeout(resolve, 20));
        writing = false;
      },
    }),
  );
  expect([error.message, writing]).toEqual(['second', false]);
});
