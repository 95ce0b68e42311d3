import { createSqliteDatabase } from '@keywright/testkit';
import { expect, it, onTestFinished } from 'vitest';
import { rejection } from '../support.ts';
import { expectFault, expectInStep, expectKept, openFaulty, type Saved } from './support.ts';

it('a SQLite file that cannot grow keeps whole saves or nothing, and goes on when it can', async () => {
  const database = await createSqliteDatabase();
  onTestFinished(() => database.drop());
  const { knex, store } = await openFaulty(database);
  const tenant = store.tenant('acme', { actor: 'x' });
  await tenant.save('key 0', 'first');
  const [{ page_count: pages }] = (await knex.raw('pragma page_count')) as [{ page_count: number }];
  await knex.raw(`pragma max_page_count = ${pages + 12}`);
  const saved: Saved[] = [];
  const errors: unknown[] = [];
  for (let count = 0; errors.length < 5; count++) {
    const [name, value] = [`key ${count % 3}`, `${count} ${'x'.repeat((count * 997) % 9_000)}`];
    try {
      const { version } = await tenant.save(name, value);
      saved.push({ tenant: 'acme', name, version, value });
    } catch (error) {
      errors.push(error);
    }
  }
  expect(saved).not.toEqual([]);
  for (const error of errors) {
    expectFault(error);
    expect(error).toMatchObject({ cause: { code: 'SQLITE_FULL' } });
  }
  await expectInStep(knex);
  // reading writes an audit row: a value that cannot be audited is not handed out
  let reads = 0;
  const error = await rejection(
    (async () => {
      for (; reads < 10_000; reads++) await tenant.get('key 0');
    })(),
  );
  expectFault(error);
  await knex.raw('pragma max_page_count = 1073741823');
  await expectKept(store, saved);
  await tenant.save('key 0', 'after');
  await expectInStep(knex);
});
