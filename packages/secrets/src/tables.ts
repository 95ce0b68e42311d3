import { invalidArgument, kindOf, readOptions } from './arguments.ts';

export interface TableOptions {
  /** Put in front of every table's name, for instance `keywright_`. @default '' */
  readonly prefix?: string | undefined;
  /** PostgreSQL schema that holds the tables; it must exist. @default the connection's search path */
  readonly schema?: string | undefined;
}

/** The store's tables: the member's name in {@link Tables}, and the table's name without prefix and schema. */
export const TABLE_NAMES = {
  migrations: 'secret_migrations',
  rootKeys: 'secret_root_keys',
  tenantKeys: 'secret_tenant_keys',
  secrets: 'secrets',
  versions: 'secret_versions',
  auditLog: 'secret_audit_log',
  auditTree: 'secret_audit_tree',
  auditLeaves: 'secret_audit_leaves',
  auditCheckpoints: 'secret_audit_checkpoints',
  auditSinks: 'secret_audit_sinks',
  changes: 'secret_changes',
  leases: 'secret_leases',
} as const;

export type TableName = keyof typeof TABLE_NAMES;

/** Names of the store's tables, as knex takes them. */
export interface Tables extends Readonly<Record<TableName, string>> {
  /** Name of an index, constraint or function, which lives beside its table and takes no schema. */
  plain(name: string): string;
  /** Schema that catalog look-ups ask for, where one is set. */
  readonly schema: string | undefined;
}

/** Tables whose rows belong to a tenant: those that row-level security isolates. */
export const TENANT_TABLES: readonly TableName[] = ['tenantKeys', 'secrets', 'versions', 'auditLog', 'changes'];

const IDENTIFIER = /^[a-z_][a-z0-9_]{0,31}$/;

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function createTables(options: TableOptions | undefined): Tables {
  const { prefix, schema } = readOptions(options, 'tables', (given) => ({
    prefix: given.prefix === undefined || given.prefix === '' ? '' : checkIdentifier(given.prefix, 'tables.prefix'),
    schema: given.schema === undefined ? undefined : checkIdentifier(given.schema, 'tables.schema'),
  }));
  const plain = (name: string): string => prefix + name;
  const qualified = (name: string): string => (schema === undefined ? plain(name) : `${schema}.${plain(name)}`);
  const names = Object.entries(TABLE_NAMES).map(([member, name]) => [member, qualified(name)]);
  return Object.freeze({ ...(Object.fromEntries(names) as Record<TableName, string>), plain, schema });
}

/** A table's name, with its schema where it has one, quoted for SQL. */
export function quoted(table: string): string {
  return `"${table.replace('.', '"."')}"`;
}

function checkIdentifier(name: unknown, argument: string): string {
  if (typeof name === 'string' && IDENTIFIER.test(name)) return name;
  const what = typeof name === 'string' ? 'another string' : kindOf(name);
  throw invalidArgument(argument, 'up to 32 of a-z, 0-9 and _, not starting with a digit', what);
}
