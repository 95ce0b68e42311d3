import type { Knex } from 'knex';

/** A connection's credentials: what an application wrote in the clear. */
// A type, not an interface: only those are assignable to JSON.
export type Credentials = {
  readonly provider: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly refreshToken: string;
};

const FILLER = 'Zm9vYmFyYmF6cXV4'.repeat(40);

/** The value of a row, which the database and this process make alike. */
export function credentialsOf(id: number): Credentials {
  return {
    provider: 'acme',
    clientId: `client-${id}`,
    clientSecret: FILLER.slice(0, 40),
    refreshToken: FILLER.slice(0, REFRESH_BYTES),
  };
}

const REFRESH_BYTES = 120;
const TENANTS = 500;

/**
 * A table of that many rows in the clear, with the columns and indexes that such a table has: an update has to make an
 * entry in each of them, because its page is full.
 */
export async function createTable(knex: Knex, table: string, rows: number): Promise<void> {
  const [before, after] = JSON.stringify(credentialsOf(0)).split('client-0') as [string, string];
  await knex.schema.createTable(table, (columns) => {
    columns.bigInteger('id').primary();
    columns.text('tenant_id').notNullable();
    columns.text('name').notNullable();
    columns.text('credentials').notNullable();
    columns.timestamp('created_at').notNullable().defaultTo(knex.fn.now());
    columns.unique(['tenant_id', 'name']);
    columns.index(['tenant_id', 'created_at']);
  });
  await knex.raw(
    `insert into ?? (id, tenant_id, name, credentials)
      select id, 'tenant-' || id % ${TENANTS}, 'connection ' || id, ?::text || id || ?::text
      from generate_series(1, ?::bigint) as id`,
    [table, `${before}client-`, after, rows],
  );
  await knex.raw('vacuum analyze ??', [table]);
}
