import { isDeepStrictEqual } from 'node:util';
import type { Knex } from 'knex';
import type { Dialect, TableShape } from '../dialects/dialect.ts';
import { SecretsError } from '../errors.ts';
import { TABLE_NAMES, type TableName, type Tables } from '../tables.ts';
import { SCHEMA_TABLES, type Schema, schemas } from './shapes.ts';

/**
 * How many migrations made the tables that are there without a record of it, as after a restore: all tables of one
 * version of the schema, each with exactly its columns, types, keys and indexes, and no others of our names.
 *
 * @throws SecretsError `ERR_SECRETS_FOREIGN_TABLE` for tables that are of no version
 */
export async function recognise(db: Knex, dialect: Dialect, tables: Tables): Promise<number> {
  const found = new Map<TableName, TableShape>();
  for (const table of SCHEMA_TABLES) {
    if (!(await dialect.hasTable(db, tables.plain(TABLE_NAMES[table]), tables.schema))) continue;
    found.set(table, await dialect.shapeOf(db, tables.plain(TABLE_NAMES[table]), tables.schema));
  }
  if (found.size === 0) return 0;
  const versions = schemas(dialect);
  const version = versions.findLastIndex(
    (schema) =>
      Object.keys(schema).length === found.size &&
      [...found].every(([table, shape]) => isShape(shape, schema[table], tables)),
  );
  if (version >= 0) return version + 1;
  const strange = [...found].find(
    ([table, shape]) => !versions.some((schema) => isShape(shape, schema[table], tables)),
  );
  throw foreign(tables, (strange ?? [...found][0])?.[0] as TableName);
}

/** Refuses tables of our names that the migrations that are recorded did not make. */
export async function refuseForeignTables(db: Knex, dialect: Dialect, tables: Tables, applied: number): Promise<void> {
  const ours: Schema = schemas(dialect)[applied - 1] ?? {};
  for (const table of SCHEMA_TABLES) {
    if (Object.hasOwn(ours, table)) continue;
    if (await dialect.hasTable(db, tables.plain(TABLE_NAMES[table]), tables.schema)) throw foreign(tables, table);
  }
}

export function foreign(tables: Tables, table: TableName): SecretsError {
  return new SecretsError('ERR_SECRETS_FOREIGN_TABLE', { context: { table: tables.plain(TABLE_NAMES[table]) } });
}

function isShape(found: TableShape, expected: TableShape | undefined, tables: Tables): boolean {
  return (
    expected !== undefined &&
    isDeepStrictEqual(found.columns.toSorted(), expected.columns) &&
    expected.indexes.every((index) => found.indexes.includes(tables.plain(index)))
  );
}
