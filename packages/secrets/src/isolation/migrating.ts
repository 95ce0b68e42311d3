import type { Knex } from 'knex';
import type { Dialect } from '../dialects/dialect.ts';
import { quoted, type Tables, TENANT_TABLES } from '../tables.ts';
import { regclass } from './policies.ts';

/**
 * Runs `work`, which may change rows of every tenant, as the tables' owner: policies that are forced hide them all, and a
 * migration would change none without a word. They are forced again before the transaction commits, which is when others
 * see the tables again.
 */
export async function withOwnersRights(
  trx: Knex,
  dialect: Dialect,
  tables: Tables,
  work: () => Promise<void>,
): Promise<void> {
  const forced = dialect.name === 'postgres' ? await forcedTables(trx, tables) : [];
  for (const table of forced) await trx.raw(`alter table ${quoted(table)} no force row level security`);
  await work();
  for (const table of forced) await trx.raw(`alter table ${quoted(table)} force row level security`);
}

async function forcedTables(trx: Knex, tables: Tables): Promise<readonly string[]> {
  const names = TENANT_TABLES.map((name) => tables[name]);
  const { rows } = (await trx.raw(
    `select t.n::int as n from unnest(?::text[]) with ordinality as t (name, n)
     join pg_class as c on c.oid = to_regclass(t.name) where c.relforcerowsecurity`,
    [names.map(regclass)],
  )) as { rows: readonly { n: number }[] };
  return rows.map(({ n }) => names[Number(n) - 1] as string);
}
