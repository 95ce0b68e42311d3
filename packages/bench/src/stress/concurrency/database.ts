import { fileURLToPath } from 'node:url';
import type { Knex } from 'knex';

const CONNECTIONS = 4;

/** A process's own pool on the database of this address. */
export function knexConfigOf(url: string): Knex.Config {
  if (url.startsWith('file:')) {
    return { client: 'better-sqlite3', connection: { filename: fileURLToPath(url) }, useNullAsDefault: true };
  }
  return { client: 'pg', connection: url, pool: { min: 0, max: CONNECTIONS } };
}
