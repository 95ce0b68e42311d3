import { closeSync, fstatSync, mkdirSync, openSync } from 'node:fs';
import { join, resolve } from 'node:path';
import createKnex, { type Knex } from 'knex';
import { readOptions } from './arguments.ts';
import { SecretsError } from './errors.ts';

export interface KnexFromEnvOptions {
  /**
   * Where to read the variables.
   * @default process.env
   */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** More of knex's configuration: `pool`, `log`, `searchPath` … */
  readonly config?: Omit<Knex.Config, 'client' | 'connection'> | undefined;
}

/** What the variables say. */
export interface DatabaseSettings {
  readonly client: 'better-sqlite3' | 'pg';
  readonly connection: Readonly<Record<string, string | number>>;
  /** `DB_MIGRATIONS_RUN` */
  readonly migrationsRun: boolean;
}

const FILE = 'keywright.sqlite';
const MAX_PORT = 65_535;

// Better-sqlite3 would otherwise not flush what it commits to a write-ahead log, nor enforce references.
const PRAGMAS = ['journal_mode = WAL', 'synchronous = FULL', 'foreign_keys = ON', 'busy_timeout = 5000'];

/**
 * A knex instance from the environment variables `DB_TYPE` (`sqlite` unless set, or `postgres`), `DB_HOST`, `DB_PORT`,
 * `DB_USERNAME`, `DB_PASSWORD`, `DB_DATABASE`, and for SQLite `FOLDER` (`./config` unless set), which is made for its
 * owner alone where it is missing. The driver, `better-sqlite3` or `pg`, is a package of the host's. A variable that is
 * set but empty counts as unset. The instance is the caller's to destroy.
 *
 * @throws SecretsError `ERR_SECRETS_CONFIGURATION`, which names the variable; `ERR_SECRETS_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { knexFromEnv } from '@keywright/secrets';
 *
 * const db = knexFromEnv(); // the file ./config/keywright.sqlite, where nothing is set
 * await db.destroy();
 * ```
 */
export function knexFromEnv(options: KnexFromEnvOptions = {}): Knex {
  const { env, config } = readOptions(options, 'options', (given) => ({ env: given.env, config: { ...given.config } }));
  const { client, connection } = readDatabaseSettings(env);
  if (client === 'pg') return createKnex({ ...config, client, connection });
  prepareFile(String(connection.filename));
  return createKnex({
    useNullAsDefault: true,
    ...config,
    client,
    connection: connection as unknown as Knex.Sqlite3ConnectionConfig,
    pool: { ...config.pool, afterCreate: afterCreate(config.pool?.afterCreate) },
  });
}

/** Reads and checks the variables of {@link knexFromEnv}. Touches nothing. */
export function readDatabaseSettings(env: KnexFromEnvOptions['env'] = process.env): DatabaseSettings {
  const read = (variable: string): string | undefined => String(env[variable] ?? '').trim() || undefined;
  const required = (variable: string): string => {
    const value = read(variable);
    if (value === undefined) throw wrong(variable, 'a value, since DB_TYPE is postgres', 'nothing');
    return value;
  };
  const flag = (variable: string, otherwise: boolean): boolean => {
    const value = read(variable) ?? String(otherwise);
    if (value === 'true' || value === 'false') return value === 'true';
    throw wrong(variable, 'true or false', 'another value');
  };
  if (flag('DB_SYNCHRONIZE', false)) {
    throw wrong('DB_SYNCHRONIZE', 'false or nothing: tables are made by migrations, see DB_MIGRATIONS_RUN', 'true');
  }
  const migrationsRun = flag('DB_MIGRATIONS_RUN', true);
  const type = read('DB_TYPE') ?? 'sqlite';
  if (type === 'sqlite') {
    const connection = { filename: join(resolve(read('FOLDER') ?? './config'), FILE) };
    return { client: 'better-sqlite3', connection, migrationsRun };
  }
  if (type !== 'postgres') throw wrong('DB_TYPE', 'sqlite, or postgres for PostgreSQL', 'another value');
  const connection = {
    host: required('DB_HOST'),
    port: port(required('DB_PORT')),
    user: required('DB_USERNAME'),
    password: required('DB_PASSWORD') && String(env.DB_PASSWORD), // its blanks are part of it
    database: required('DB_DATABASE'),
  };
  return { client: 'pg', connection, migrationsRun };
}

function port(text: string): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number > 0 && number <= MAX_PORT) return number;
  throw wrong('DB_PORT', `an integer from 1 to ${MAX_PORT}`, 'another value');
}

/** SQLite gives the files beside it the mode of this one. */
function prepareFile(filename: string): void {
  let mode: number;
  try {
    mkdirSync(join(filename, '..'), { recursive: true, mode: 0o700 });
    const file = openSync(filename, 'a', 0o600);
    mode = fstatSync(file).mode;
    closeSync(file);
  } catch (error) {
    const context = { variable: 'FOLDER', expected: 'a folder that this process may write in' };
    throw new SecretsError('ERR_SECRETS_CONFIGURATION', { context, cause: error });
  }
  if (process.platform === 'win32' || (mode & 0o007) === 0) return;
  throw wrong('FOLDER', `a file ${FILE} that not every user of the machine can open (chmod 600)`, 'one that all can');
}

type AfterCreate = NonNullable<Knex.PoolConfig['afterCreate']>;

function afterCreate(hosts: AfterCreate | undefined): AfterCreate {
  return (connection: { pragma(source: string): unknown }, done: (error: unknown, connection: unknown) => void) => {
    try {
      for (const pragma of PRAGMAS) connection.pragma(pragma);
    } catch (error) {
      done(error, connection);
      return;
    }
    if (hosts === undefined) done(null, connection);
    else hosts(connection, done);
  };
}

function wrong(variable: string, expected: string, received: string): SecretsError {
  return new SecretsError('ERR_SECRETS_CONFIGURATION', { context: { variable, expected, received } });
}
