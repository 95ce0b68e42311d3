import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KeyDatabase } from '../../src/keys/connection.ts';
import { KeyTable } from '../../src/keys/key-table.ts';
import { Places } from '../../src/keys/places.ts';
import { createKmsTables } from '../../src/tables/names.ts';
import { type KeyFixture, openKeys } from '../support/key-fixture.ts';

const ROWS = 20_000;
const NAMES = Array.from({ length: 100 }, (_, index) => `n${index}`);

describeEachEngine('with many keys', (engine) => {
  const sqlite = engine.dialect === 'sqlite';
  let fixture: KeyFixture;
  let places: Places;
  let table: KeyTable;
  beforeAll(async () => {
    fixture = await openKeys(engine);
    const database = new KeyDatabase(fixture.knex, createKmsTables(), undefined);
    places = new Places(database, 'reconcile');
    table = new KeyTable(database);
    const numbers = sqlite
      ? `with recursive s(i) as (select 1 union all select i + 1 from s where i < ${ROWS})`
      : `with s as (select generate_series(1, ${ROWS}) as i)`;
    const now = sqlite ? '0' : 'now()';
    await fixture.knex.raw(`insert into kms_keys
      (tenant_id, key_id, provider_id, name, external_id, alg, created_at, updated_at, public_jwk, status)
      ${numbers} select 't' || (i % 2000), 'k' || i, 'main', 'n' || i, 'e' || i, 'ES256', ${now}, ${now}, '{}',
      case when i % 1000 = 0 then 'deleting' else 'active' end from s`);
    if (!sqlite) await fixture.knex.raw('analyze');
  });
  afterAll(() => fixture?.close());

  const after = { tenantId: 't5', keyId: 'k5', name: 'n5' };
  const query = { provider: undefined, status: undefined, after: 'k1', limit: 100 };
  it.each<[string, string, () => Promise<unknown>]>([
    ['keys that are to be deleted', 'pending', () => places.page('keys', 'main', 'deleting', undefined, 100)],
    ['ended creates', 'pending', () => places.page('keys', 'main', 'creating', after, 100, { olderThanMs: 0 })],
    ['creates of one provider', 'pending', () => places.creating('main')],
    ['creates of all', 'pending', () => places.creating()],
    ['active keys', 'provider', () => places.page('keys', 'main', 'active', after, 100)],
    ['whose keys are', 'name', () => places.known(NAMES, NAMES)],
    ['tenants', 'provider', () => places.tenants('main', 't5', 100)],
    ['a tenant’s keys', '', () => table.page('t5', query, undefined)],
    ['a tenant’s keys of a provider', 'provider', () => table.page('t5', { ...query, provider: 'main' }, undefined)],
    ['where a key is', '', () => table.locate('t5', 'k5', undefined)],
  ])('asks an index for %s, and sorts no more than a page', async (_title, index, call) => {
    const asked: { readonly sql: string; readonly bindings: unknown[] }[] = [];
    const record = (one: (typeof asked)[number]): void => void asked.push(one);
    fixture.knex.on('query', record);
    await call();
    fixture.knex.removeListener('query', record);
    const [first] = asked.filter(({ sql }) => sql.includes('kms_keys')) as [(typeof asked)[number]];
    const plan = await explain(first);
    expect(plan).toMatch(index === '' ? /index/i : new RegExp(`kms_keys_${index}`));
    expect(plan).not.toMatch(/seq scan on kms_keys|scan kms_keys(?! using)|rows=[0-9]{4}/i);
  });

  /** How the database answers a statement; with PostgreSQL, after it has. */
  async function explain({ sql, bindings }: { readonly sql: string; readonly bindings: unknown[] }): Promise<string> {
    const plain = sql.replaceAll(/\$\d+/g, '?');
    if (sqlite) {
      const steps = (await fixture.knex.raw(`explain query plan ${plain}`, bindings as never)) as { detail: string }[];
      return steps.map(({ detail }) => detail).join('\n');
    }
    const options = 'analyze, costs off, timing off, summary off, buffers off';
    const { rows } = (await fixture.knex.raw(`explain (${options}) ${plain}`, bindings as never)) as {
      rows: { 'QUERY PLAN': string }[];
    };
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  }
});
