import { invalidArgument, kindOf, readOptions } from './arguments.ts';

export interface TableOptions {
  /** Put in front of every table's name, for instance `keywright_`. @default '' */
  readonly prefix?: string | undefined;
  /** PostgreSQL schema that holds the tables; it must exist. @default the connection's search path */
  readonly schema?: string | undefined;
}

/** Names of the store's tables, as knex takes them. */
export interface Tables {
  readonly migrations: string;
  readonly rootKeys: string;
  readonly tenantKeys: string;
  readonly secrets: string;
  readonly versions: string;
  readonly auditLog: string;
  /** Name of an index or constraint, which lives beside its table and takes no schema. */
  plain(name: string): string;
  /** Schema that catalog look-ups ask for, where one is set. */
  readonly schema: string | undefined;
}

const IDENTIFIER = /^[a-z_][a-z0-9_]{0,31}$/;

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function createTables(options: TableOptions | undefined): Tables {
  const { prefix, schema } = readOptions(options, 'tables', (given) => ({
    prefix: given.prefix === undefined || given.prefix === '' ? '' : checkIdentifier(given.prefix, 'tables.prefix'),
    schema: given.schema === undefined ? undefined : checkIdentifier(given.schema, 'tables.schema'),
  }));
  const plain = (name: string): string => prefix + name;
  const qualified = (name: string): string => (schema === undefined ? plain(name) : `${schema}.${plain(name)}`);
  return Object.freeze({
    migrations: qualified('secret_migrations'),
    rootKeys: qualified('secret_root_keys'),
    tenantKeys: qualified('secret_tenant_keys'),
    secrets: qualified('secrets'),
    versions: qualified('secret_versions'),
    auditLog: qualified('secret_audit_log'),
    plain,
    schema,
  });
}

function checkIdentifier(name: unknown, argument: string): string {
  if (typeof name === 'string' && IDENTIFIER.test(name)) return name;
  const what = typeof name === 'string' ? 'another string' : kindOf(name);
  throw invalidArgument(argument, 'up to 32 of a-z, 0-9 and _, not starting with a digit', what);
}
