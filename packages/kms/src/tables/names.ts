import { invalidArgument, kindOf, readOptions } from '../arguments.ts';

export interface KmsTableOptions {
  /** Put in front of every table's name, for instance `keywright_`. @default '' */
  readonly prefix?: string | undefined;
  /** PostgreSQL schema that holds the tables; it must exist. @default the connection's search path */
  readonly schema?: string | undefined;
}

/** The tables: the member's name in {@link KmsTables}, and the table's name without prefix and schema. */
export const TABLE_NAMES = {
  migrations: 'kms_migrations',
  keys: 'kms_keys',
  copies: 'kms_key_copies',
  softwareKeys: 'kms_software_keys',
} as const;

export type KmsTableName = keyof typeof TABLE_NAMES;

/** Names of the tables, as knex takes them. */
export interface KmsTables extends Readonly<Record<KmsTableName, string>> {
  /** Name of a table or index without its schema, but with the prefix. */
  plain(name: string): string;
  readonly schema: string | undefined;
}

const IDENTIFIER = /^[a-z_][a-z0-9_]{0,31}$/;

/** @throws KmsError `ERR_KMS_INVALID_ARGUMENT` */
export function createKmsTables(options?: KmsTableOptions): KmsTables {
  const { prefix, schema } = readOptions(options, 'tables', (given) => ({
    prefix: given.prefix === undefined || given.prefix === '' ? '' : checkIdentifier(given.prefix, 'tables.prefix'),
    schema: given.schema === undefined ? undefined : checkIdentifier(given.schema, 'tables.schema'),
  }));
  const plain = (name: string): string => prefix + name;
  const qualified = (name: string): string => (schema === undefined ? plain(name) : `${schema}.${plain(name)}`);
  const names = Object.entries(TABLE_NAMES).map(([member, name]) => [member, qualified(name)]);
  return Object.freeze({ ...(Object.fromEntries(names) as Record<KmsTableName, string>), plain, schema });
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
