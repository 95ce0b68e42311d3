import type { Knex } from 'knex';
import { invalidArgument } from '../arguments.ts';
import { KmsError } from '../errors.ts';
import type { KmsTables } from './names.ts';
import { asRows } from './rows.ts';

/** What differs between the databases. */
export interface Database {
  readonly name: 'postgres' | 'sqlite';
  /** Column types of the migrations. */
  readonly types: Readonly<Record<'bytes' | 'json' | 'timestamp', string>>;
  /** How transactions begin: each statement is to see what others have committed by then. */
  readonly transaction: Knex.TransactionConfig;
  /** The database's own time, which all processes agree on, `offsetMs` later. */
  now(db: Knex, offsetMs?: number): Knex.Raw;
  /**
   * Lets one migrating process in at a time, until the transaction ends.
   * @param wait whether it is to wait for the lock, also where a refusal can be tried again
   */
  lockForMigration(trx: Knex, tables: KmsTables, wait: boolean): Promise<void>;
  /** Whether a lock was refused at once because another holds it: trying again is all that is needed. */
  isLockConflict(error: unknown): boolean;
  /** Columns of what has this name, in the order of their names; none if nothing has it. */
  columnsOf(db: Knex, table: string, schema: string | undefined): Promise<readonly string[]>;
}

const postgres: Database = {
  name: 'postgres',
  types: { bytes: 'bytea', json: 'jsonb', timestamp: 'timestamptz(3)' },
  transaction: { isolationLevel: 'read committed' },

  now(db: Knex, offsetMs = 0): Knex.Raw {
    return db.raw("clock_timestamp() + ? * interval '1 millisecond'", [offsetMs]);
  },

  async lockForMigration(trx: Knex, tables: KmsTables): Promise<void> {
    // Released with the transaction, so a killed migrator blocks nobody.
    await trx.raw('select pg_advisory_xact_lock(hashtextextended(?, 0))', [`keywright ${tables.migrations}`]);
  },

  isLockConflict(): boolean {
    return false; // PostgreSQL waits
  },

  async columnsOf(db: Knex, table: string, schema: string | undefined): Promise<readonly string[]> {
    // Not by to_regclass, whose cache may not know yet what another process has just committed.
    const path = schema === undefined ? 'current_schemas(true)' : 'array[?]::name[]';
    const { rows } = (await db.raw(
      `select a.attname::text as name from pg_attribute a where a.attnum > 0 and not a.attisdropped and a.attrelid =
        (select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where c.relname = ? and n.nspname = any(${path}) order by array_position(${path}, n.nspname) limit 1)
        order by 1`,
      schema === undefined ? [table] : [table, schema, schema],
    )) as { readonly rows: unknown };
    return asRows<{ name: string }>(rows).map(({ name }) => name);
  },
};

const sqlite: Database = {
  name: 'sqlite',
  // A time is milliseconds since 1970, as knex binds a Date for SQLite.
  types: { bytes: 'blob', json: 'text', timestamp: 'integer' },
  transaction: {},

  now(db: Knex, offsetMs = 0): Knex.Raw {
    return db.raw('?', [Date.now() + offsetMs]); // the file is on one machine, and so are its processes
  },

  async lockForMigration(trx: Knex, tables: KmsTables, wait: boolean): Promise<void> {
    // A write takes the only lock; knex begins transactions without it.
    const lock = async (): Promise<void> => {
      const columns = 'name text primary key, applied_at integer not null';
      await trx.raw(`create table if not exists ?? (${columns})`, [tables.migrations]);
      await trx(tables.migrations).whereRaw('1 = 0').delete();
    };
    if (wait) return await lock();
    // The driver waits with the whole process, which may be the one that has to let go of the lock.
    const [{ timeout }] = (await trx.raw('pragma busy_timeout')) as [{ readonly timeout: number | bigint }];
    await trx.raw('pragma busy_timeout = 0');
    try {
      await lock();
    } finally {
      await trx.raw(`pragma busy_timeout = ${Number(timeout)}`);
    }
  },

  isLockConflict(error: unknown): boolean {
    return String((error as { code?: unknown } | undefined)?.code).startsWith('SQLITE_BUSY');
  },

  async columnsOf(db: Knex, table: string, schema: string | undefined): Promise<readonly string[]> {
    if (schema !== undefined) throw invalidArgument('tables.schema', 'nothing on SQLite', 'a schema');
    return asRows<{ name: string }>(await db.raw('select name from pragma_table_info(?) order by 1', [table])).map(
      ({ name }) => name,
    );
  },
};

// By driver, not by dialect: knex has databases that are PostgreSQL in dialect only, and was tried with none of them.
const DATABASES: Readonly<Record<string, Database>> = { pg: postgres, pgnative: postgres, 'better-sqlite3': sqlite };

/** @throws KmsError `ERR_KMS_UNSUPPORTED_DATABASE`, `ERR_KMS_INVALID_ARGUMENT` */
export function databaseOf(knex: Knex): Database {
  const { client } = (knex ?? {}) as { readonly client?: { readonly driverName?: unknown } };
  if (typeof client !== 'object' || client === null) throw invalidArgument('knex', 'a knex instance', typeof knex);
  const driver = typeof client.driverName === 'string' ? client.driverName : 'unknown';
  const database = Object.hasOwn(DATABASES, driver) ? DATABASES[driver] : undefined;
  if (database === undefined) throw new KmsError('ERR_KMS_UNSUPPORTED_DATABASE', { context: { driver } });
  return database;
}
