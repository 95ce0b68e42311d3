import type { Knex } from 'knex';
import { regclass, TENANT_POLICY } from './policies.ts';
import { TENANT_SETTING } from './tenant-setting.ts';

/** What gets the connected role round every policy. */
export interface RoleFacts {
  /** Attributes and roles that do, its own and those of roles that it can become. */
  readonly powers: readonly string[];
  /** Every connection of the role, or to the database, starts with a tenant that nobody asked for. */
  readonly preset: boolean;
}

export interface PolicyFacts {
  readonly name: string;
  /** `*` for all commands. */
  readonly command: string;
  readonly using: string | null;
  readonly check: string | null;
}

/** A table as the connected role may use it. */
export interface TableFacts {
  readonly schema: string;
  readonly enabled: boolean;
  readonly forced: boolean;
  /** By the role, or by one that it can become. */
  readonly owned: boolean;
  /** Of those that were asked for, what the role has. */
  readonly privileges: readonly string[];
  /** Those that let rows in for the role. */
  readonly policies: readonly PolicyFacts[];
}

export interface FunctionFacts {
  readonly schema: string;
  readonly body: string;
  readonly definer: boolean;
  readonly config: string;
  readonly owned: boolean;
  readonly executable: boolean;
}

/** Whoever was logged in before `set role` is again after `reset role`, which a pooler sends too. */
function canBecome(role: string): string {
  return `(pg_has_role(${role}, 'MEMBER') or pg_has_role(session_user, ${role}, 'MEMBER'))`;
}

function hasColumn(which: string, privilege: string): string {
  return `exists (
      select from pg_attribute as a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        and ${which} and has_column_privilege(c.oid, a.attnum, '${privilege}')
    )`;
}

const HAS_PRIVILEGE = `case
    when p like 'INSERT (%)' then ${hasColumn(`p = 'INSERT (' || a.attname || ')'`, 'INSERT')}
    when p like 'UPDATE except %' then ${hasColumn(`p <> 'UPDATE except ' || a.attname`, 'UPDATE')}
    when p in ('INSERT', 'UPDATE', 'REFERENCES') then has_any_column_privilege(c.oid, p)
    else has_table_privilege(c.oid, p)
  end`;

// 0 stands for everybody.
const APPLIES = `exists (
    select from unnest(p.polroles) as r where case when r = 0 then true else ${canBecome('r')} end
  )`;

// Until PostgreSQL 16, CREATEROLE can make itself a member of any role that is no superuser.
const POWERS = `(values
    (1, 'SUPERUSER', r.rolsuper), (2, 'BYPASSRLS', r.rolbypassrls), (3, 'REPLICATION', r.rolreplication),
    (4, 'CREATEROLE', r.rolcreaterole and current_setting('server_version_num')::int < 160000),
    (5, r.rolname, r.rolname in ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program'))
  ) as v (n, power, has)`;

export async function readRole(db: Knex): Promise<RoleFacts> {
  const [row] = await rowsOf<{ facts: string }>(
    db,
    `select json_build_object('powers', array(
       select v.power from pg_roles as r cross join lateral ${POWERS}
       where v.has and ${canBecome('r.oid')} group by v.power order by min(v.n)
     ), 'preset', exists (
       select from pg_db_role_setting as s, unnest(s.setconfig) as c
       where lower(c) like ? and (s.setrole = 0 or s.setrole = (select oid from pg_roles where rolname = session_user))
         and (s.setdatabase = 0 or s.setdatabase = (select oid from pg_database where datname = current_database()))
     ))::text as facts`,
    [`${TENANT_SETTING}=%`],
  );
  return JSON.parse(row?.facts ?? '') as RoleFacts;
}

/** In the order asked for; nothing for what is no table. */
export async function readTables(
  db: Knex,
  asked: readonly { readonly table: string; readonly forbidden: readonly string[] }[],
): Promise<readonly (TableFacts | undefined)[]> {
  const rows = await rowsOf<{ n: number; facts: string }>(
    db,
    `select t.n::int as n, json_build_object(
       'schema', s.nspname, 'enabled', c.relrowsecurity, 'forced', c.relforcerowsecurity,
       'owned', ${canBecome('c.relowner')},
       'privileges', (
         select coalesce(json_agg(p), '[]') from unnest(string_to_array(t.forbidden, ',')) as p where ${HAS_PRIVILEGE}
       ),
       'policies', (
         select coalesce(json_agg(json_build_object('name', p.polname, 'command', p.polcmd,
           'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid))), '[]')
         from pg_policy as p where p.polrelid = c.oid and p.polpermissive and ${APPLIES}
       )
     )::text as facts
     from unnest(?::text[], ?::text[]) with ordinality as t (name, forbidden, n)
     join pg_class as c on c.oid = to_regclass(t.name) and c.relkind in ('r', 'p')
     join pg_namespace as s on s.oid = c.relnamespace`,
    [asked.map(({ table }) => regclass(table)), asked.map(({ forbidden }) => forbidden.join(','))],
  );
  return inOrder<TableFacts>(asked.length, rows);
}

/** Views that the role may use, straight over one of the tables, whose owner sees other tenants' rows of it. */
export async function readLeaks(db: Knex, tables: readonly string[]): Promise<readonly string[]> {
  const rows = await rowsOf<{ name: string }>(
    db,
    `select distinct v.oid::regclass::text as name
     from unnest(?::text[]) as t (name)
     join pg_depend as d on d.refclassid = 'pg_class'::regclass and d.refobjid = to_regclass(t.name)
       and d.classid = 'pg_rewrite'::regclass
     join pg_rewrite as w on w.oid = d.objid
     join pg_class as v on v.oid = w.ev_class and v.oid <> d.refobjid
     join pg_roles as o on o.oid = v.relowner
     where (has_any_column_privilege(v.oid, 'SELECT, INSERT, UPDATE') or has_table_privilege(v.oid, 'DELETE'))
       and not coalesce('security_invoker=true' = any (v.reloptions) or 'security_invoker=on' = any (v.reloptions), false)
       and (v.relkind = 'm' or o.rolsuper or o.rolbypassrls or exists (
         select from pg_policy as p where p.polrelid = d.refobjid and p.polpermissive
           and p.polname <> '${TENANT_POLICY}' and exists (
             select from unnest(p.polroles) as r where case when r = 0 then true else pg_has_role(o.oid, r, 'MEMBER') end
           )
       ))
     order by 1`,
    [tables.map(regclass)],
  );
  return rows.map(({ name }) => name);
}

/** In the order asked for; nothing where there is none of that signature. */
export async function readFunctions(
  db: Knex,
  signatures: readonly string[],
): Promise<readonly (FunctionFacts | undefined)[]> {
  const rows = await rowsOf<{ n: number; facts: string }>(
    db,
    `select t.n::int as n, json_build_object(
       'schema', s.nspname, 'body', f.prosrc, 'definer', f.prosecdef,
       'config', coalesce(array_to_string(f.proconfig, ';'), ''),
       'owned', ${canBecome('f.proowner')}, 'executable', has_function_privilege(f.oid, 'EXECUTE')
     )::text as facts
     from unnest(?::text[]) with ordinality as t (signature, n)
     join pg_proc as f on f.oid = to_regprocedure(t.signature)
     join pg_namespace as s on s.oid = f.pronamespace`,
    [signatures],
  );
  return inOrder<FunctionFacts>(signatures.length, rows);
}

/** As text, which no parser of the host's has its own idea of. */
function inOrder<Facts>(
  count: number,
  rows: readonly { readonly n: number; readonly facts: string }[],
): readonly (Facts | undefined)[] {
  const found = new Map(rows.map(({ n, facts }) => [Number(n), JSON.parse(facts) as Facts]));
  return Array.from({ length: count }, (_, index) => found.get(index + 1));
}

async function rowsOf<Row>(db: Knex, sql: string, bindings: readonly unknown[]): Promise<readonly Row[]> {
  const { rows } = (await db.raw(sql, bindings as never)) as { rows: readonly Row[] };
  return rows;
}
