import { invalid } from '../../columns/options.ts';
import { describe } from '../../keywright-error.ts';
import { ColumnMigrationError } from '../errors.ts';
import type { KnexDatabase } from './database.ts';
import type { ColumnLocation, Engine } from './engine.ts';
import type { KnexRowSourceOptions } from './knex-row-source.ts';
import { postgres } from './postgres.ts';
import { sqlite } from './sqlite.ts';

const ENGINES: Readonly<Record<string, Engine>> = { pg: postgres, pgnative: postgres, 'better-sqlite3': sqlite };

/** @throws ColumnMigrationError `ERR_COLUMN_SOURCE_UNSUPPORTED` for a database that this was not tried with */
export function engineOf({ client }: KnexDatabase): Engine {
  const name = (client as { driverName?: unknown } | undefined)?.driverName;
  const engine = typeof name === 'string' && Object.hasOwn(ENGINES, name) ? ENGINES[name] : undefined;
  if (engine !== undefined) return engine;
  const driver = typeof name === 'string' ? name : describe(name);
  throw new ColumnMigrationError('ERR_COLUMN_SOURCE_UNSUPPORTED', {
    context: { driver, expected: 'pg, better-sqlite3' },
  });
}

/** @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT` */
export function checkLocation(options: KnexRowSourceOptions): ColumnLocation {
  const { table, schema, column, key, tenantColumn, where = {} } = options;
  const keys = keyOf(key);
  if (typeof where !== 'object' || where === null)
    throw invalid('where', 'an object of column to value', describe(where));
  return {
    table: checkName(table, 'table'),
    schema: schema === undefined ? undefined : checkName(schema, 'schema'),
    column: checkName(column, 'column'),
    key: keys.map(([, name]) => checkName(name, 'key')),
    keyNames: keys.map(([name]) => name),
    tenantColumn: tenantColumn === undefined ? undefined : checkName(tenantColumn, 'tenantColumn'),
    where: Object.entries(where).map(([name, value]) => [checkName(name, 'where'), checkValue(value)]),
  };
}

function keyOf(key: unknown): readonly (readonly [name: string, column: unknown])[] {
  const columns: unknown = typeof key === 'string' ? [key] : key;
  const named = Array.isArray(columns) ? columns.map((column) => [String(column), column] as const) : undefined;
  const keys = named ?? Object.entries(typeof columns === 'object' && columns !== null ? columns : {});
  if (keys.length > 0) return keys;
  throw invalid('key', 'a column, several, or an object of name to column', describe(key));
}

/** knex takes a dot, a star and the word "as" in an identifier for more than a part of its name. */
function checkName(name: unknown, argument: string): string {
  if (typeof name === 'string' && name !== '' && !/[.*\0]|\sas\s/i.test(name)) return name;
  throw invalid(argument, 'the name of a table or column, without a schema', describe(name));
}

function checkValue(value: unknown): string | number | boolean | null {
  if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) {
    return value as string | number | boolean | null;
  }
  throw invalid('where', 'values that are text, numbers, booleans or null', describe(value));
}
