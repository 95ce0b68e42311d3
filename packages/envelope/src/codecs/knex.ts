import { ColumnError } from '../columns/errors.ts';
import { invalid } from '../columns/options.ts';
import { isName } from '../columns/place.ts';
import { describe } from '../keywright-error.ts';
import { EncryptedColumns, type EncryptedTable, type Row } from './encrypted-columns.ts';

export type { EncryptedTable } from './encrypted-columns.ts';

/** What is used of a knex query: `Knex.QueryBuilder` fits. */
export interface KnexQuery extends PromiseLike<unknown> {
  where(condition: Readonly<Record<string, unknown>>): this;
  insert(rows: readonly object[]): PromiseLike<unknown>;
  update(changes: object): PromiseLike<unknown>;
}

/** `Knex` and `Knex.Transaction` fit. */
export type KnexLike = (table: string) => KnexQuery;

/** A table of rows `R`, as {@link knexTable} is told of it. */
export interface KnexTableOptions<R extends object = Record<string, unknown>> extends EncryptedTable<R> {
  /** The table in the database. */
  readonly table: string;
}

/** A primary key, by column; the column of the tenant may stand beside it. */
export type RowKey = Readonly<Record<string, string | number | bigint>>;

/** A table with encrypted columns, made by {@link knexTable}. Values are bound to what their codecs bind. */
export interface KnexTable<R extends object> {
  readonly binds: 'row' | 'column';
  /** Inserts rows, whose keys must be assigned already. */
  insert(knex: KnexLike, rows: R | readonly R[]): Promise<void>;
  /**
   * Changes the row of a key, and tells whether there was one. Where the tenant of the row is bound, give it with the key.
   * The key cannot be changed, and the tenant only together with every encrypted value.
   */
  update(knex: KnexLike, key: RowKey, changes: Partial<R>): Promise<boolean>;
  find(knex: KnexLike, key: RowKey): Promise<R | undefined>;
  /** Runs a query that selects rows of this table and decrypts them. Each row needs its key beside what is encrypted. */
  select(query: PromiseLike<unknown>): Promise<R[]>;
  /** Encrypts a row for a query of your own, such as an upsert on the primary key. */
  encode(row: Partial<R>): Record<string, unknown>;
  /** Decrypts a row of a query of your own. */
  decode(row: object): R;
}

/**
 * A table with encrypted columns for knex, which has no hook that sees rows: encryption is what these methods do, and a
 * query that goes by them reads and writes what is stored. Give each call `knex` or a transaction. In a query of your own,
 * select encrypted columns under their own names: one given another is handed out as it is stored.
 *
 * @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT`; the methods throw what `ColumnCodec` throws, and
 * `ERR_COLUMN_STATEMENT_REFUSED` for SQL in place of an encrypted value and for a change of the key
 *
 * @example
 * ```ts
 * import { keyringFromEnv } from '@keywright/envelope';
 * import { knexTable } from '@keywright/envelope/codecs/knex';
 * import { columnCodec } from '@keywright/envelope/columns';
 * import knex from 'knex';
 *
 * type Connection = { id: string; name: string; credentials: { apiKey: string } | null };
 * const codec = columnCodec({ keyring: keyringFromEnv(), table: 'connections', column: 'credentials' });
 * const connections = knexTable<Connection>({ table: 'connections', columns: { credentials: codec } });
 *
 * const db = knex({ client: 'pg' });
 * await connections.insert(db, { id: 'c1', name: 'prod', credentials: { apiKey: 'sk_test_1' } });
 * await connections.select(db('connections').where({ name: 'prod' }));
 * ```
 */
export function knexTable<R extends object>(options: KnexTableOptions<R>): KnexTable<R> {
  const columns = new EncryptedColumns(options as EncryptedTable);
  const { table } = options;
  if (!isName(table)) throw invalid('table', 'the table in the database', describe(table));
  const keyOf = (key: RowKey): Record<string, unknown> => {
    const names = Object.keys(key ?? {}).filter((name) => name !== columns.tenant);
    if (names.length === columns.key.length && columns.key.every((column) => (key[column] ?? null) !== null)) {
      return { ...key };
    }
    throw new ColumnError('ERR_COLUMN_ROW_KEY_MISSING', { context: { table, expected: columns.key.join(', ') } });
  };
  const decode = (row: object): R => columns.decode(row as Row) as R;
  const decodeAll = async (query: PromiseLike<unknown>): Promise<R[]> => {
    const rows = await query;
    if (Array.isArray(rows)) return rows.map((row: object) => decode(row));
    throw new ColumnError('ERR_COLUMN_STATEMENT_REFUSED', {
      context: { table, expected: 'rows', received: describe(rows) },
    });
  };
  return Object.freeze({
    binds: columns.bindsRow ? 'row' : 'column',
    async insert(knex: KnexLike, rows: R | readonly R[]) {
      const all = (Array.isArray(rows) ? rows : [rows]) as readonly Row[];
      await knex(table).insert(all.map((row) => columns.encode(row)));
    },
    async update(knex: KnexLike, key: RowKey, changes: Partial<R>) {
      const where = keyOf(key);
      columns.refuseMoves(changes as Row);
      return (
        Number(
          await knex(table)
            .where(where)
            .update(columns.encode(changes as Row, where)),
        ) > 0
      );
    },
    async find(knex: KnexLike, key: RowKey) {
      return (await decodeAll(knex(table).where(keyOf(key))))[0];
    },
    select: decodeAll,
    encode: (row: Partial<R>) => columns.encode(row as Row),
    decode,
  });
}
