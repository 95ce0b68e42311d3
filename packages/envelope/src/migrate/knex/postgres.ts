import { ColumnMigrationError } from '../errors.ts';
import type { RowChange } from '../row-source.ts';
import type { ColumnConstraint, ColumnRule } from '../rule.ts';
import { isLocked, type KnexDatabase, quoted, rowsOf } from './database.ts';
import type { ColumnLocation, Engine, EngineColumn, KnexRow, RawRow, RawScan, RawValue } from './engine.ts';
import { postgresConstraint } from './postgres-constraint.ts';
import { rawOf } from './rows.ts';

const KEY_TYPES = ['smallint', 'integer', 'bigint', 'uuid', 'text', 'character varying'];
const VALUE_TYPES = ['text', 'character varying', 'json', 'jsonb', 'bytea'];

/** How a type of column is read, compared and set. `v` is the list of changes, `t` the table. */
interface ValueType {
  readonly array: 'text' | 'bytea';
  readonly read: string;
  readonly isExpected: string;
  readonly next: string;
}

// Text is compared by its bytes whatever the collation says, json by its text because it has no equality.
const TEXT: ValueType = {
  array: 'text',
  read: 't.??::text',
  isExpected: 't.??::text collate "C" is not distinct from v.expected',
  next: 'v.next',
};
const JSONB = { ...TEXT, isExpected: 't.?? is not distinct from v.expected::jsonb', next: 'v.next::jsonb' };
const BYTEA: ValueType = {
  array: 'bytea',
  read: 't.??',
  isExpected: 't.?? is not distinct from v.expected',
  next: 'v.next',
};
const VALUES: Readonly<Record<string, ValueType>> = {
  text: TEXT,
  'character varying': TEXT,
  json: { ...TEXT, next: 'v.next::json' },
  jsonb: JSONB,
  bytea: BYTEA,
};

// Set for the one statement, and by it: a transaction around it would take three more round trips. It is evaluated once,
// before the first row. Below the second after which the server looks for deadlocks, so no writer is ended for our sake.
const LOCK_TIMEOUT = "(select set_config('lock_timeout', '800ms', true)) is not null and ";

export const postgres: Engine = {
  everyTransactionIsSnapshot: false,

  async describe(db, location): Promise<EngineColumn> {
    const types = await typesOf(db, location);
    const type = checkType(location, location.column, types.get(location.column), VALUE_TYPES);
    const keyTypes = location.key.map((name) => checkType(location, name, types.get(name), KEY_TYPES));
    const order = await indexOrder(db, location);
    if (order === undefined) {
      const context = { table: location.table, field: location.key.join(', ') };
      throw new ColumnMigrationError('ERR_COLUMN_SOURCE_KEY', { context });
    }
    return new PostgresColumn(location, type, keyTypes, order);
  },

  async snapshot<T>(db: KnexDatabase, location: ColumnLocation, work: (trx: KnexDatabase) => Promise<T>): Promise<T> {
    return await db.transaction(
      async (trx) => {
        await checkVisible(trx, location);
        return await work(trx);
      },
      { isolationLevel: 'repeatable read', readOnly: true },
    );
  },
};

class PostgresColumn implements EngineColumn {
  readonly isJson: boolean;
  readonly #location: ColumnLocation;
  readonly #type: string;
  readonly #value: ValueType;
  readonly #keyTypes: readonly string[];
  readonly #order: readonly number[];

  /** @param order places of the key's columns in the order of their index, in which a page needs no sort */
  constructor(location: ColumnLocation, type: string, keyTypes: readonly string[], order: readonly number[]) {
    this.isJson = type === 'json' || type === 'jsonb';
    this.#location = location;
    this.#type = type;
    this.#value = VALUES[type] ?? TEXT;
    this.#keyTypes = keyTypes;
    this.#order = order;
  }

  async scan(db: KnexDatabase, { after, limit }: RawScan): Promise<readonly RawRow[]> {
    const { column, key, tenantColumn, where } = this.#location;
    const conditions: string[] = where.map(([, value]) => (value === null ? 't.?? is null' : 't.?? = ?'));
    const bindings: unknown[] = where.flatMap(([name, value]) => (value === null ? [name] : [name, value]));
    const ordered = this.#order.map((index) => key[index]);
    const order = ordered.map(() => 't.??').join(', ');
    if (after !== undefined) {
      const limits = this.#order.map((index) => `?::${this.#keyTypes[index]}`);
      conditions.push(`(${order}) > (${limits.join(', ')})`);
      bindings.push(...ordered, ...this.#order.map((index) => after[index]));
    }
    const columns = key.map((_, index) => `t.??::text as k${index}`);
    const sql = `select ${columns.join(', ')}, ${tenantColumn === undefined ? 'null' : 't.??::text'} as tenant, ${this.#value.read} as stored
      from ${this.#table} as t ${conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`}
      order by ${order} limit ?`;
    const selected = [...key, ...(tenantColumn === undefined ? [] : [tenantColumn]), column];
    return await rowsOf<RawRow>(db, sql, [...selected, ...this.#tableNames, ...bindings, ...ordered, limit]);
  }

  async compareAndSet(db: KnexDatabase, changes: readonly RowChange<KnexRow>[]): Promise<readonly boolean[]> {
    // Inside a caller's transaction its settings and its locks are the caller's.
    if (db.isTransaction === true) return await this.#update(db, changes, 'wait');
    try {
      return await this.#update(db, changes, 'wait a little');
    } catch (error) {
      if (!isLocked(error)) throw error;
      return await this.#update(db, changes, 'skip');
    }
  }

  async #update(
    db: KnexDatabase,
    changes: readonly RowChange<KnexRow>[],
    locked: 'wait' | 'wait a little' | 'skip',
  ): Promise<readonly boolean[]> {
    const { column, key } = this.#location;
    const { array, isExpected, next } = this.#value;
    const arrays = [...this.#keyTypes, array, array].map((type) => `?::${type}[]`);
    const lists: readonly RawValue[][] = [
      ...key.map((_, index) => changes.map(({ row }) => row.bound[index] ?? null)),
      changes.map(({ row }) => row.raw),
      changes.map((change) => rawOf(change.next)),
    ];
    const named = `unnest(${arrays.join(', ')}) with ordinality as v(${key.map((_, index) => `k${index}`).join(', ')}, expected, next, i)`;
    const sameKey = key.map((_, index) => `t.?? = v.k${index}`).join(' and ');
    const guard = locked === 'wait a little' ? LOCK_TIMEOUT : '';
    const update = (from: string): string =>
      `update ${this.#table} as t set ?? = ${next} from ${from} where ${guard}${sameKey} and ${isExpected} returning v.i::integer as i`;
    const sql =
      locked === 'skip'
        ? `with v as materialized (select * from ${named}),
        free as materialized (select v.i from ${this.#table} as t join v on ${sameKey} for update of t skip locked)
        ${update('v join free on free.i = v.i')}`
        : update(named);
    const table = this.#tableNames;
    const bindings =
      locked === 'skip'
        ? [...lists, ...table, ...key, ...table, column, ...key, column]
        : [...table, column, ...lists, ...key, column];
    const rows = await rowsOf<{ i: number }>(db, sql, bindings);
    const stored = new Set(rows.map(({ i }) => Number(i)));
    return changes.map((_, index) => stored.has(index + 1));
  }

  async count(db: KnexDatabase): Promise<number | undefined> {
    const sql = 'select reltuples::float8 as rows from pg_class where oid = to_regclass(?)';
    const [row] = await rowsOf<{ rows: number }>(db, sql, [regclass(db, this.#location)]);
    // Minus one until the table was analysed once.
    return row === undefined || row.rows < 0 ? undefined : row.rows;
  }

  async constraint(db: KnexDatabase, rule: ColumnRule): Promise<ColumnConstraint> {
    await checkVisible(db, this.#location);
    const { table, schema, column } = this.#location;
    return postgresConstraint(rule, {
      table: quoted(db, ...(schema === undefined ? [] : [schema]), table),
      column: quoted(db, column),
      type: this.#type,
      name: (text) => quoted(db, text),
      prefix: `${table}_${column}`,
    });
  }

  get #table(): string {
    return this.#location.schema === undefined ? '??' : '??.??';
  }

  get #tableNames(): readonly string[] {
    const { table, schema } = this.#location;
    return schema === undefined ? [table] : [schema, table];
  }
}

async function checkVisible(db: KnexDatabase, location: ColumnLocation): Promise<void> {
  const sql = 'select row_security_active(to_regclass(?)) as hidden';
  const [row] = await rowsOf<{ hidden: boolean }>(db, sql, [regclass(db, location)]);
  if (row?.hidden !== true) return;
  throw new ColumnMigrationError('ERR_COLUMN_SOURCE_HIDDEN', { context: { table: location.table } });
}

async function typesOf(db: KnexDatabase, location: ColumnLocation): Promise<ReadonlyMap<string, string>> {
  const names = [...location.key, location.column];
  const sql = `select a.attname::text as name, coalesce(nullif(t.typbasetype, 0), t.oid)::regtype::text as type
    from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attrelid = to_regclass(?) and a.attnum > 0 and not a.attisdropped`;
  const rows = await rowsOf<{ name: string; type: string }>(db, sql, [regclass(db, location)]);
  const types = new Map(rows.map(({ name, type }) => [name, type]));
  return new Map(names.map((name) => [name, types.get(unquoted(quoted(db, name))) ?? 'none of this name']));
}

/**
 * Places of the key's columns in the order of a unique index without nulls and without a condition that covers exactly
 * these. Under another collation than the column's, its rows are not unique in the order of the column; and the index of
 * a table does not cover the tables that inherit from it, unless they are its partitions.
 */
async function indexOrder(db: KnexDatabase, location: ColumnLocation): Promise<readonly number[] | undefined> {
  const sql = `select array(
      select a.attname::text from generate_series(0, i.indnkeyatts - 1) as place
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[place]
      where a.attnotnull and a.attcollation = i.indcollation[place] order by place
    ) as names
    from pg_index i join pg_class c on c.oid = i.indrelid
    where i.indrelid = to_regclass(?) and i.indisunique and i.indimmediate and i.indisvalid and i.indpred is null and i.indexprs is null
      and i.indnkeyatts = ?
      and (c.relkind = 'p' or not exists (select 1 from pg_inherits h where h.inhparent = c.oid))
    order by i.indisprimary desc, i.indexrelid`;
  const wanted = location.key.map((name) => unquoted(quoted(db, name)));
  const rows = await rowsOf<{ names: readonly string[] }>(db, sql, [regclass(db, location), wanted.length]);
  const orders = rows.map(({ names }) => names.map((name) => wanted.indexOf(name)));
  return orders.find((order) => new Set(order).size === wanted.length && !order.includes(-1));
}

function checkType({ table }: ColumnLocation, field: string, type: string | undefined, known: string[]): string {
  if (type !== undefined && known.includes(type)) return type;
  const context = { table, field, expected: known.join(', '), received: type ?? 'nothing' };
  throw new ColumnMigrationError('ERR_COLUMN_SOURCE_UNSUPPORTED', { context });
}

function regclass(db: KnexDatabase, { table, schema }: ColumnLocation): string {
  return quoted(db, ...(schema === undefined ? [] : [schema]), table);
}

/** The name that the catalogue has: a host's knex may map names on their way. */
function unquoted(identifier: string): string {
  return identifier.slice(1, -1).replaceAll('""', '"');
}
