import { invalid } from '../../columns/options.ts';
import { isKid } from '../../keys.ts';
import { describe } from '../../keywright-error.ts';
import { checkCount, checkOptions } from '../arguments.ts';
import { MAX_BATCH_ROWS } from '../defaults.ts';
import type { RowChange, RowPage, RowSource, ScanOptions } from '../row-source.ts';
import type { ColumnRule } from '../rule.ts';
import { type KnexDatabase, typedAround } from './database.ts';
import type { Engine, EngineColumn, KnexRow } from './engine.ts';
import { checkLocation, engineOf } from './location.ts';
import { boundOf, cursorOf, presentRow } from './rows.ts';

export type { KnexDatabase };

export interface KnexRowSourceOptions {
  /**
   * A knex instance or transaction, of PostgreSQL or of better-sqlite3. An instance with two connections and more lets
   * the backfill read and write at the same time.
   */
  readonly knex: KnexDatabase;
  readonly table: string;
  /** @default what the search path finds */
  readonly schema?: string | undefined;
  readonly column: string;
  /**
   * The column of the primary key, or all its columns. Values are bound to them under these names, so they must be those
   * that the application gives its codec; where it has other names, an object of its name to the column.
   */
  readonly key: string | readonly string[] | Readonly<Record<string, string>>;
  /** Column of the tenant, where values are bound to one. @default none: the codec's own tenant */
  readonly tenantColumn?: string | undefined;
  /** Only rows whose columns have these values. A filtered source gives no constraint. @default every row */
  readonly where?: Readonly<Record<string, string | number | boolean | null>> | undefined;
  /**
   * How the codec takes JSON, as its own option says.
   * @default 'object' for json and jsonb columns of PostgreSQL, else 'string'
   */
  readonly jsonAs?: 'object' | 'string' | undefined;
}

/**
 * A column of a table on PostgreSQL or SQLite. Batches are compared and set in one statement. Key columns must be unique,
 * without nulls, and integers, UUIDs or text.
 *
 * On PostgreSQL a row that another transaction holds locked is waited for during a second and then left for the next run.
 *
 * @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT`; ColumnMigrationError `ERR_COLUMN_SOURCE_UNSUPPORTED`. The methods
 * throw `ERR_COLUMN_SOURCE_UNSUPPORTED`, `ERR_COLUMN_SOURCE_KEY`, `ERR_COLUMN_SOURCE_HIDDEN`, `ERR_COLUMN_SOURCE_FAILED`
 *
 * @example
 * ```ts
 * import { knexRowSource, type RowSource } from '@keywright/envelope/migrate';
 * import type { Knex } from 'knex';
 *
 * export function credentialsOf(knex: Knex): RowSource {
 *   return knexRowSource({ knex, table: 'connections', column: 'credentials', key: 'id', tenantColumn: 'tenant_id' });
 * }
 * ```
 */
export function knexRowSource(options: KnexRowSourceOptions): RowSource<KnexRow> {
  const { knex, jsonAs } = checkOptions(options);
  if (typeof knex?.raw !== 'function') throw invalid('knex', 'a knex instance', describe(knex));
  if (jsonAs !== undefined && jsonAs !== 'object' && jsonAs !== 'string') {
    throw invalid('jsonAs', "'object' or 'string'", describe(jsonAs));
  }
  const engine = engineOf(knex);
  const location = checkLocation(options);
  let described: Promise<EngineColumn> | undefined;
  const column = (db: KnexDatabase): Promise<EngineColumn> => {
    described ??= engine.describe(db, location).catch((error: unknown) => {
      described = undefined; // the next call asks again
      throw error;
    });
    return described;
  };

  const on = (db: KnexDatabase): RowSource<KnexRow> => ({
    async scan({ after, limit, signal }: ScanOptions): Promise<RowPage<KnexRow>> {
      signal?.throwIfAborted();
      checkCount(limit, 'limit', MAX_BATCH_ROWS);
      const found = await column(db);
      const raw = await found.scan(db, { after: boundOf(after, location), limit });
      const as = jsonAs ?? (found.isJson ? 'object' : 'string');
      const rows = raw.map((row) => presentRow(row, location, as));
      const last = rows.at(-1);
      return { rows, cursor: last === undefined || rows.length < limit ? undefined : cursorOf(last) };
    },
    async compareAndSet(
      changes: readonly RowChange<KnexRow>[],
      { signal }: { readonly signal?: AbortSignal | undefined } = {},
    ): Promise<readonly boolean[]> {
      signal?.throwIfAborted();
      return changes.length === 0 ? [] : await (await column(db)).compareAndSet(db, changes);
    },
    async count() {
      return await (await column(db)).count(db);
    },
    ...(hasSnapshot(engine, db) && {
      snapshot: async <T>(work: (source: RowSource<KnexRow>) => Promise<T>) =>
        await typedAround<KnexDatabase, T>(
          async (inside) => await engine.snapshot(db, location, inside),
          async (trx) => await work(on(trx)),
        ),
    }),
    async constraint(rule) {
      checkRule(rule);
      const constraint = await (await column(db)).constraint(db, rule);
      return location.where.length === 0 ? constraint : undefined;
    },
  });
  return on(knex);
}

/** What of a rule goes into SQL as text. */
function checkRule(rule: ColumnRule): void {
  const { notKid, versions } = checkOptions(rule);
  if (notKid !== undefined && !isKid(notKid)) throw invalid('notKid', 'a key id', describe(notKid));
  if (versions.every((version) => version === 1 || version === 2)) return;
  throw invalid('versions', '1 and 2', describe(versions));
}

/** A transaction of the caller's has its isolation already. */
function hasSnapshot(engine: Engine, db: KnexDatabase): boolean {
  return db.isTransaction !== true || engine.everyTransactionIsSnapshot;
}
