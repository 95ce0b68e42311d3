import { invalidArgument, kindOf, readOptions } from '../arguments.ts';
import {
  createTables,
  quoted,
  TABLE_NAMES,
  type TableName,
  type TableOptions,
  type Tables,
  TENANT_TABLES,
} from '../tables.ts';
import { type IsolatedFunction, isolatedFunctions } from './functions.ts';
import { APPLICATION_GRANTS, MAINTENANCE_GRANTS } from './grants.ts';
import { MAINTENANCE_POLICY, TENANT_POLICY, tenantExpression } from './policies.ts';
import { TENANT_SETTING } from './tenant-setting.ts';

/** Options of {@link rowSecuritySql}. The roles must exist. */
export interface RowSecuritySqlOptions {
  /** Where the tables are, as in `createSecretStore`. @default `schema`: `public` */
  readonly tables?: TableOptions | undefined;
  /** Role that services connect as, or that their roles are members of. Neither owner, superuser nor BYPASSRLS. */
  readonly appRole: string;
  /** Role of the pool `rowSecurity.maintenance`, which sees every tenant. The application role must not be a member. */
  readonly maintenanceRole: string;
  /** Becomes the owner of tables and functions. @default they stay with whoever made them */
  readonly ownerRole?: string | undefined;
}

/** Options of {@link hostTableSecuritySql}. The roles must exist. */
export interface HostTableSecurityOptions {
  /** The host's table, `name` or `schema.name`, with a column that holds the tenant's id. */
  readonly table: string;
  /** @default 'tenant_id' */
  readonly column?: string | undefined;
  /** SQL type of the column, where it is not text: `uuid`, `bigint`. @default none, for text and varchar */
  readonly columnType?: string | undefined;
  /** As in {@link RowSecuritySqlOptions}. What it may do with the table is the host's to grant. */
  readonly appRole: string;
  /** Role that sees every tenant. @default none */
  readonly maintenanceRole?: string | undefined;
}

const MAX_IDENTIFIER_BYTES = 63;
const PLAIN_TYPE = /^[a-z][a-z0-9_ ]{0,62}$/;

/**
 * SQL that turns row-level security on for the store's tables: policies, privileges of both roles, and the functions
 * that keep a `get` at one round trip. To be read, then run as the tables' owner in one transaction (`psql -1 -f`),
 * after the first `migrate()` and again after each release that changes the schema. It can be run any number of times.
 *
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`
 */
export function rowSecuritySql(options: RowSecuritySqlOptions): string {
  const { tables, app, maintenance, owner } = readOptions(options, 'options', (given) => ({
    tables: tablesOf(given.tables),
    app: role(given.appRole, 'appRole'),
    maintenance: role(given.maintenanceRole, 'maintenanceRole'),
    owner: given.ownerRole === undefined ? undefined : role(given.ownerRole, 'ownerRole'),
  }));
  if (app === maintenance) throw invalidArgument('maintenanceRole', 'another role than appRole', 'the same');
  const names = Object.keys(TABLE_NAMES) as TableName[];
  const functions = isolatedFunctions(tables);
  return script([
    '-- Row-level security of @keywright/secrets. Run it as the owner of the tables, in one transaction: psql -1 -f',
    ...(owner === undefined ? [] : names.map((name) => `alter table ${quoted(tables[name])} owner to ${owner}`)),
    '-- What each role may do. Nothing else, and TRUNCATE not at all: it knows no policies.',
    `grant usage on schema "${tables.schema}" to ${app}, ${maintenance}`,
    ...names.map((name) => `revoke all on ${quoted(tables[name])} from public, ${app}, ${maintenance}`),
    ...names.flatMap((name) => granted(APPLICATION_GRANTS[name], quoted(tables[name]), app)),
    ...names.flatMap((name) => granted(MAINTENANCE_GRANTS[name], quoted(tables[name]), maintenance)),
    '-- Rows of the tenant that a call has set, for the application role; of every tenant, for the maintenance role.',
    '-- The owner sees none: neither do its views and functions, whoever calls them.',
    ...TENANT_TABLES.flatMap((name) => policies(quoted(tables[name]), tenantExpression(), app)),
    ...TENANT_TABLES.flatMap((name) => allowing(quoted(tables[name]), maintenance)),
    '-- Each sets the tenant, runs one statement with the rights of its caller, and sets the tenant back.',
    dropFunctions(tables, functions),
    ...functions.map(({ sql }) => sql),
    ...functions.flatMap(({ signature }) => [
      `revoke all on function ${signature} from public`,
      `grant execute on function ${signature} to ${app}`,
    ]),
    ...(owner === undefined ? [] : functions.map(({ signature }) => `alter function ${signature} owner to ${owner}`)),
  ]);
}

/**
 * SQL that turns row-level security of the store's tables off again; grants stay. For stores without `rowSecurity`, and
 * for a database that is to be left.
 *
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`
 */
export function disableRowSecuritySql(options?: Pick<RowSecuritySqlOptions, 'tables'>): string {
  const tables = readOptions(options, 'options', (given) => tablesOf(given.tables));
  return script([
    dropFunctions(tables, isolatedFunctions(tables)),
    ...TENANT_TABLES.flatMap((name) => {
      const table = quoted(tables[name]);
      return [
        `drop policy if exists ${TENANT_POLICY} on ${table}`,
        `drop policy if exists ${MAINTENANCE_POLICY} on ${table}`,
        `alter table ${table} no force row level security`,
        `alter table ${table} disable row level security`,
      ];
    }),
  ]);
}

/**
 * SQL that isolates a table of the host's own in the same way; `tenantScope()` then shows one tenant's rows. TRUNCATE,
 * REFERENCES and TRIGGER are revoked, because they know no policies; other privileges stay as they are.
 *
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`
 */
export function hostTableSecuritySql(options: HostTableSecurityOptions): string {
  const { table, expression, app, maintenance } = readOptions(options, 'options', (given) => ({
    table: tableName(given.table),
    expression: tenantExpression(quotedIdentifier(given.column ?? 'tenant_id', 'column'), plainType(given.columnType)),
    app: role(given.appRole, 'appRole'),
    maintenance: given.maintenanceRole === undefined ? undefined : role(given.maintenanceRole, 'maintenanceRole'),
  }));
  return script([
    `revoke truncate, references, trigger on ${table} from public, ${app}`,
    ...policies(table, expression, app),
    ...(maintenance === undefined ? [] : allowing(table, maintenance)),
  ]);
}

/** Of whatever release, and so of whatever parameters; not those that somebody else gave the same name. */
function dropFunctions({ schema }: Tables, functions: readonly IsolatedFunction[]): string {
  const names = functions.map(({ plain }) => `'${plain}'`).join(', ');
  return `do $keywright$
declare
  ours regprocedure;
begin
  for ours in
    select p.oid from pg_catalog.pg_proc as p
    where p.pronamespace = '${schema}'::regnamespace and p.proname in (${names})
      and position('${TENANT_SETTING}' in p.prosrc) > 0
  loop
    execute format('drop function %s', ours);
  end loop;
end
$keywright$`;
}

function policies(table: string, expression: string, app: string): readonly string[] {
  return [
    `alter table ${table} enable row level security`,
    `alter table ${table} force row level security`,
    `drop policy if exists ${TENANT_POLICY} on ${table}`,
    `create policy ${TENANT_POLICY} on ${table} to ${app}\n  using (${expression})\n  with check (${expression})`,
  ];
}

function allowing(table: string, maintenance: string): readonly string[] {
  return [
    `drop policy if exists ${MAINTENANCE_POLICY} on ${table}`,
    `create policy ${MAINTENANCE_POLICY} on ${table} to ${maintenance} using (true) with check (true)`,
  ];
}

function granted(privileges: readonly string[], table: string, to: string): readonly string[] {
  return privileges.length === 0 ? [] : [`grant ${privileges.join(', ')} on ${table} to ${to}`];
}

function script(lines: readonly string[]): string {
  return lines
    .map((line) => (line.startsWith('--') ? `\n${line}\n` : `${line};\n`))
    .join('')
    .trimStart();
}

function tablesOf(options: TableOptions | undefined): Tables {
  // With a schema, so that neither the policies nor the functions depend on anybody's search path.
  return createTables(readOptions(options, 'tables', (given) => ({ ...given, schema: given.schema ?? 'public' })));
}

function tableName(table: unknown): string {
  if (typeof table !== 'string') throw invalidArgument('table', 'a name, or schema.name', kindOf(table));
  const parts = table.split('.');
  if (parts.length > 2) throw invalidArgument('table', 'a name, or schema.name', 'more parts');
  return parts.map((part) => quotedIdentifier(part, 'table')).join('.');
}

function plainType(type: string | undefined): string | undefined {
  if (type === undefined || (typeof type === 'string' && PLAIN_TYPE.test(type))) return type;
  throw invalidArgument('columnType', 'the name of a SQL type', kindOf(type));
}

/** `public` and the like are words of the language where a role is expected. */
function role(name: unknown, argument: string): string {
  const id = quotedIdentifier(name, argument);
  if (['"public"', '"none"', '"current_user"'].includes(id.toLowerCase())) {
    throw invalidArgument(argument, "a role's name", 'a word of the language');
  }
  return id;
}

function quotedIdentifier(name: unknown, argument: string): string {
  if (
    typeof name === 'string' &&
    name.length > 0 &&
    name.isWellFormed() &&
    Buffer.byteLength(name) <= MAX_IDENTIFIER_BYTES &&
    !/\p{Cc}/u.test(name)
  ) {
    return `"${name.replaceAll('"', '""')}"`;
  }
  throw invalidArgument(
    argument,
    `a name of 1 to ${MAX_IDENTIFIER_BYTES} bytes without control characters`,
    kindOf(name),
  );
}
