import type { Knex } from 'knex';
import { SecretsError } from '../errors.ts';
import { createTables, TABLE_NAMES, type TableName, type Tables, TENANT_TABLES } from '../tables.ts';
import { readFunctions, readLeaks, readRole, readTables, type TableFacts } from './catalog.ts';
import { isolatedFunctions } from './functions.ts';
import { forbiddenPrivileges } from './grants.ts';
import { sameExpression, TENANT_POLICY, tenantExpression } from './policies.ts';

const NAMES = Object.keys(TABLE_NAMES) as readonly TableName[];

/**
 * Proves by the catalog that policies keep the connected role to one tenant: that they are there, as the SQL of
 * `rowSecuritySql()` made them, and that nothing lets the role get round them.
 *
 * @throws SecretsError `ERR_SECRETS_RLS_INEFFECTIVE`, whose context names the table and what is wrong with it
 */
export async function verifyRowSecurity(db: Knex, tables: Tables): Promise<void> {
  const role = await readRole(db);
  for (const power of role.powers) throw ineffective(`a role without ${power}`, `${power}, or a way to it`);
  if (role.preset) throw ineffective('no tenant in the settings of role and database', 'one that is set there');
  const facts = await readTables(
    db,
    NAMES.map((name) => ({ table: tables[name], forbidden: forbiddenPrivileges(name) })),
  );
  for (const [index, name] of NAMES.entries()) verifyTable(tables[name], name, facts[index]);
  const [leak] = await readLeaks(
    db,
    TENANT_TABLES.map((name) => tables[name]),
  );
  if (leak !== undefined) {
    throw ineffective('no view whose owner sees other tenants', 'one that the role may use', leak);
  }
  await verifyFunctions(db, tables, facts[NAMES.indexOf('secrets')]?.schema ?? '');
}

function verifyTable(table: string, name: TableName, facts: TableFacts | undefined): void {
  if (facts === undefined) throw ineffective('a table', 'nothing, or something else', table);
  if (facts.owned) throw ineffective('another owner', 'the role, or one that it is a member of', table);
  for (const privilege of facts.privileges) throw ineffective(`no ${privilege}`, `${privilege} is granted`, table);
  if (!TENANT_TABLES.includes(name)) return;
  if (!facts.enabled) throw ineffective('ENABLE ROW LEVEL SECURITY', 'not enabled', table);
  if (!facts.forced) throw ineffective('FORCE ROW LEVEL SECURITY', 'not forced', table);
  const expected = `the policy ${TENANT_POLICY}`;
  for (const { name: policy, using, check, command } of facts.policies) {
    if (policy !== TENANT_POLICY)
      throw ineffective('no further policy for the role', 'another that lets rows in', table);
    if (command === '*' && sameExpression(using, tenantExpression()) && sameExpression(check, tenantExpression()))
      continue;
    throw ineffective(expected, 'one that was changed', table);
  }
  if (facts.policies.length === 0) throw ineffective(expected, 'none for the role', table);
}

async function verifyFunctions(db: Knex, tables: Tables, schema: string): Promise<void> {
  // Looked up by the names that the store calls, which the search path decides where no schema is set.
  const called = isolatedFunctions(tables);
  const facts = await readFunctions(
    db,
    called.map(({ signature }) => signature),
  );
  for (const [index, { name, body }] of isolatedFunctions(inSchema(tables, schema)).entries()) {
    const fact = facts[index];
    const table = name.replaceAll('"', '');
    if (fact === undefined || fact.schema !== schema) throw ineffective('a function of this release', 'none', table);
    if (fact.body !== body) throw ineffective('a function of this release', 'another body', table);
    if (fact.definer) throw ineffective('a function of invoker rights', 'SECURITY DEFINER', table);
    if (fact.config !== 'search_path=pg_catalog, pg_temp') throw ineffective('a pinned search_path', 'another', table);
    if (fact.owned) throw ineffective('another owner', 'the role, or one that it is a member of', table);
    if (!fact.executable) throw ineffective('EXECUTE', 'not granted', table);
  }
}

/** The same tables by their full names: those that the functions were made with. */
function inSchema(tables: Tables, schema: string): Tables {
  return createTables({ prefix: tables.plain(''), schema });
}

function ineffective(expected: string, received: string, table?: string): SecretsError {
  return new SecretsError('ERR_SECRETS_RLS_INEFFECTIVE', {
    context: { ...(table === undefined ? {} : { table }), expected, received },
  });
}
