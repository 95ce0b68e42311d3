import type { Knex } from 'knex';
import { SYSTEM_TENANT } from '../arguments.ts';
import { SecretsError } from '../errors.ts';
import { asRows } from '../internal/rows.ts';
import { type Tables, TENANT_TABLES } from '../tables.ts';
import type { Isolation, SweepingProof } from './isolation.ts';
import { regclass } from './policies.ts';
import { setTenant } from './tenant-setting.ts';

interface Proof {
  /** What ordinary calls use. */
  readonly knex: Knex;
  readonly maintenance: Knex;
  readonly tables: Tables;
  readonly scoped: Isolation['scoped'];
}

// A role or policy may change under a running process.
const LATELY_MS = 30_000;

const proofs = new WeakMap<object, { readonly tables: Tables; readonly until: number }>();

/**
 * Proves that the maintenance role sees the rows of every tenant. One that does not would find nothing to do, and say
 * that all was done: a rotation of no keys, an audit log that is intact because it is empty.
 *
 * @throws SecretsError `ERR_SECRETS_RLS_BLIND`, whose context names the table
 */
export async function proveSweeping(proof: Proof, proved: SweepingProof): Promise<void> {
  const { maintenance, tables } = proof;
  const known = proofs.get(maintenance);
  if (proved === 'lately' && known !== undefined && known.tables === tables && known.until > performance.now()) return;
  await maintenance.transaction(async (trx) => {
    await setTenant(trx, ''); // a tenant that was set for the connection must not pass for all of them
    await proveByPolicies(trx, tables);
    await proveBySentinel(proof, trx);
  });
  proofs.set(maintenance, { tables, until: performance.now() + LATELY_MS });
}

/** The key of the store's own tenant is always there, and in no other database. */
async function proveBySentinel({ knex, tables, scoped }: Proof, trx: Knex): Promise<void> {
  const sentinels = async (db: Knex): Promise<readonly string[]> => {
    const rows: unknown = await db(tables.tenantKeys)
      .where({ tenant_id: SYSTEM_TENANT })
      .orderBy('kek_id')
      .select('kek_id');
    return asRows<{ kek_id: string }>(rows).map((row) => row.kek_id);
  };
  const theirs = await sentinels(trx);
  const ours = await scoped(knex, SYSTEM_TENANT, sentinels);
  if (ours.length > 0 && theirs.includes(ours[0] as string)) return;
  throw blind(tables.tenantKeys, 'the rows of the store itself', 'none');
}

async function proveByPolicies(trx: Knex, tables: Tables): Promise<void> {
  const names = TENANT_TABLES.map((name) => tables[name]);
  const { rows } = (await trx.raw(
    `select t.ord::int as ord,
       not c.relrowsecurity or me.rolsuper or me.rolbypassrls or exists (
         select 1 from pg_policy p
         where p.polrelid = c.oid and p.polpermissive and p.polcmd = '*'
           and pg_get_expr(p.polqual, p.polrelid) = 'true' and pg_get_expr(p.polwithcheck, p.polrelid) = 'true'
           and exists (select 1 from unnest(p.polroles) r where case when r = 0 then true else pg_has_role(r, 'USAGE') end)
       ) and not exists (
         select 1 from pg_policy p
         where p.polrelid = c.oid and not p.polpermissive
           and exists (select 1 from unnest(p.polroles) r where case when r = 0 then true else pg_has_role(r, 'USAGE') end)
       ) as seen
     from unnest(?::text[]) with ordinality t(name, ord)
     join pg_class c on c.oid = to_regclass(t.name)
     cross join (select rolsuper, rolbypassrls from pg_roles where rolname = current_user) me`,
    [names.map(regclass)],
  )) as { rows: readonly { ord: number; seen: boolean }[] };
  for (const [index, table] of names.entries()) {
    if (rows.some(({ ord, seen }) => Number(ord) === index + 1 && seen)) continue;
    throw blind(table, 'a policy that shows every row to the maintenance role', 'none, or a narrower one');
  }
}

function blind(table: string, expected: string, received: string): SecretsError {
  return new SecretsError('ERR_SECRETS_RLS_BLIND', { context: { table, expected, received } });
}
