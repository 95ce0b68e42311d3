import type { Knex } from 'knex';
import { SecretsError } from '../errors.ts';
import type { Dialect } from './dialect.ts';
import { postgres } from './postgres.ts';
import { sqlite } from './sqlite.ts';

/** The dialect of a knex instance. @throws SecretsError `ERR_SECRETS_UNSUPPORTED_DATABASE` */
export function dialectOf(knex: Knex): Dialect {
  const { dialect, driverName } = knex.client as { dialect?: string; driverName?: string };
  if (dialect === 'postgresql') return postgres;
  if (dialect === 'sqlite3' && driverName === 'better-sqlite3') return sqlite;
  throw new SecretsError('ERR_SECRETS_UNSUPPORTED_DATABASE', { context: { driver: driverName ?? 'unknown' } });
}
