import type { Knex } from 'knex';
import { SecretsError } from '../errors.ts';
import type { Dialect } from './dialect.ts';
import { postgres } from './postgres.ts';
import { sqlite } from './sqlite.ts';

// By driver, not by dialect: knex has databases that are PostgreSQL in dialect only, and was tried with none of them.
const DIALECTS: Readonly<Record<string, Dialect>> = { pg: postgres, pgnative: postgres, 'better-sqlite3': sqlite };

/** The dialect of a knex instance. @throws SecretsError `ERR_SECRETS_UNSUPPORTED_DATABASE` */
export function dialectOf(knex: Knex): Dialect {
  const { driverName } = knex.client as { driverName?: unknown };
  const name = typeof driverName === 'string' ? driverName : 'unknown';
  const dialect = Object.hasOwn(DIALECTS, name) ? DIALECTS[name] : undefined;
  if (dialect === undefined) throw new SecretsError('ERR_SECRETS_UNSUPPORTED_DATABASE', { context: { driver: name } });
  return dialect;
}
