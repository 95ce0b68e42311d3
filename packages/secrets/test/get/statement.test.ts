import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { getStatement } from '../../src/dialects/postgres/get-statement.ts';
import type { GetForm, GetKind } from '../../src/dialects/statement.ts';
import { createTables } from '../../src/tables.ts';
import { type Fixture, openFixture } from '../support.ts';
import { audited } from './support.ts';

const SHAPES: readonly (readonly [GetKind, GetForm])[] = [
  ['audited', 'one'],
  ['audited', 'many'],
  ['unaudited', 'one'],
  ['unaudited', 'many'],
];

describeEachEngine('the statement of a get', (engine) => {
  let fixture: Fixture;

  beforeAll(async () => {
    fixture = await openFixture(engine);
    await fixture.tenant('acme').save('key', 'value', { metadata: { a: 'ü\\"' }, tags: ['x'], description: 'd' });
  });
  afterAll(async () => {
    await fixture?.close();
  });

  async function onHost({ pool, ...config }: Partial<Knex.Config>, work: (host: Knex) => Promise<void>): Promise<void> {
    const host = createKnex({ ...fixture.knexConfig, ...config, pool: { min: 0, max: 1, ...pool } } as Knex.Config);
    try {
      await work(host);
    } finally {
      await host.destroy();
    }
  }

  it('gives all that list() gives', async () => {
    const tenant = fixture.tenant('acme');
    const [info] = (await tenant.list()).items;
    expect(await tenant.get('key')).toMatchObject({ ...info });
    await fixture.knex.transaction(async (trx) => {
      expect(await fixture.tenant('acme', trx).get('key')).toMatchObject({ ...info });
    });
  });

  if (engine.name === 'sqlite') return;

  it.each(["set bytea_output = 'escape'", "set datestyle = 'German, DMY'", "set timezone = 'Asia/Kathmandu'"])(
    'is read the same after %s',
    async (setting) => {
      const expected = await fixture.tenant('acme').get('key');
      const pool = {
        afterCreate(
          connection: { query(sql: string, done: (error: unknown) => void): void },
          done: (...args: unknown[]) => void,
        ) {
          connection.query(setting, (error) => done(error, connection));
        },
      };
      await onHost({ pool }, async (host) => {
        const store = fixture.reopen(fixture.root, { knex: host });
        const read = await store.tenant('acme', { actor: 'x' }).get('key');
        expect({ ...read, value: read.value }).toEqual({ ...expected, value: expected.value });
        const entries = await fixture.tenant('acme').auditLog();
        expect(entries.items.every(({ authentic }) => authentic)).toBe(true);
      });
    },
  );

  it('is prepared once per connection under a name, unless that was turned off', async () => {
    const names = async (host: Knex): Promise<readonly string[]> =>
      (await host.raw('select name from pg_prepared_statements')).rows.map(({ name }: { name: string }) => name);
    await onHost({}, async (host) => {
      const tenant = fixture.reopen(fixture.root, { knex: host }).tenant('acme', { actor: 'x' });
      for (let index = 0; index < 3; index++) await Promise.all([tenant.get('key'), tenant.get('key')]);
      for (let index = 0; index < 3; index++) await tenant.get('key');
      const gets = (await names(host)).filter((name) => name.startsWith('keywright_secret_get'));
      expect(gets.map((name) => name.slice(0, -12)).toSorted()).toEqual([
        'keywright_secret_get_',
        'keywright_secret_get_many_',
      ]);
    });
    const before = (await audited(fixture.knex, 'acme')).success ?? 0;
    await onHost({}, async (host) => {
      const store = fixture.reopen(fixture.root, { knex: host, preparedStatements: false });
      const tenant = store.tenant('acme', { actor: 'x' });
      await Promise.all([tenant.get('key'), tenant.get('key')]);
      expect((await tenant.get('key')).value).toBe('value');
      expect(await names(host)).toEqual([]);
    });
    expect(await audited(fixture.knex, 'acme')).toEqual({ success: before + 3 });
  });

  it.each(SHAPES)('keeps one plan that goes by indexes: %s, %s', async (kind, form) => {
    const { sql, parameters } = getStatement(createTables(undefined), kind, form);
    await onHost({}, async (host) => {
      const trx = await host.transaction();
      try {
        await growTables(trx);
        await trx.raw(`prepare under_test (${parameters.map(([, type]) => type).join(', ')}) as ${sql}`);
        for (let count = 1; count <= 12; count++) await trx.raw(`execute under_test(${literals(parameters, count)})`);
        const plans = "select generic_plans, custom_plans from pg_prepared_statements where name = 'under_test'";
        expect((await trx.raw(plans)).rows).toEqual([{ generic_plans: '7', custom_plans: '5' }]);
        const plan: string = (await trx.raw(`explain (costs off) execute under_test(${literals(parameters, 3)})`)).rows
          .map((row: Record<string, string>) => row['QUERY PLAN'])
          .join('\n');
        expect(plan).not.toContain('Seq Scan');
        for (const index of ['secrets_name', 'secrets_pkey', 'secret_versions_pkey', 'secret_tenant_keys_pkey']) {
          expect(plan).toContain(`using ${index}`);
        }
      } finally {
        await trx.rollback();
      }
    });
  });
});

/** So many rows that the planner would go through them one by one for no query. */
async function growTables(trx: Knex): Promise<void> {
  await trx.raw(`insert into secret_tenant_keys (tenant_id, kek_id, root_kid, status, created_at)
    select 't' || i, gen_random_uuid(), 'v1', 'active', now() from generate_series(1, 5000) as i`);
  await trx.raw(`insert into secrets (tenant_id, id, name, metadata, current_version, binding, created_at, updated_at)
    select 'acme', gen_random_uuid(), 'n' || i, '{}', 1, '', now(), now() from generate_series(1, 5000) as i`);
  await trx.raw(`insert into secret_versions (tenant_id, secret_id, version, kek_id, created_at, created_by)
    select s.tenant_id, s.id, 1, k.kek_id, now(), 'x' from secrets as s
    join secret_tenant_keys as k on k.tenant_id = s.tenant_id where s.name <> 'key'`);
  await trx.raw('analyze secrets, secret_versions, secret_tenant_keys');
}

/** As SQL writes them: names of nothing, so that nothing is written. */
function literals(parameters: readonly (readonly [string, string])[], count: number): string {
  return parameters
    .map(([name, type]) => {
      if (name === 'tenants') return `array_fill('acme'::text, array[${type.endsWith('[]') ? count : 1}])`;
      if (name.startsWith('name')) return type.endsWith('[]') ? `array_fill('none'::text, array[${count}])` : "'none'";
      return name === 'read_at' ? 'now()' : `null::${type}`;
    })
    .join(', ');
}
