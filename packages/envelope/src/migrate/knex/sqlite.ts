import { ColumnMigrationError } from '../errors.ts';
import type { RowChange } from '../row-source.ts';
import type { ColumnConstraint, ColumnRule } from '../rule.ts';
import { type KnexDatabase, quoted, rowsOf } from './database.ts';
import type { ColumnLocation, Engine, EngineColumn, KnexRow, RawRow, RawScan } from './engine.ts';
import { rawOf } from './rows.ts';
import { sqliteConstraint } from './sqlite-constraint.ts';

/** Below the 32,766 that SQLite takes in a statement. */
const MAX_PARAMETERS = 30_000;

export const sqlite: Engine = {
  everyTransactionIsSnapshot: true,

  async describe(db, location): Promise<EngineColumn> {
    const { table, schema, column, key } = location;
    if (schema !== undefined) throw unsupported(location, 'no schema', 'a schema');
    const columns = await columnsOf(db, table);
    for (const name of [...key, column]) {
      if (!columns.has(nameOf(db, name))) throw unsupported(location, `a column ${name}`, 'none of this name');
    }
    if (!(await isUnique(db, location, columns)) || (await hasNulls(db, location))) {
      throw new ColumnMigrationError('ERR_COLUMN_SOURCE_KEY', { context: { table, field: key.join(', ') } });
    }
    return new SqliteColumn(location);
  },

  async snapshot<T>(db: KnexDatabase, _location: ColumnLocation, work: (trx: KnexDatabase) => Promise<T>): Promise<T> {
    return await db.transaction(work);
  },
};

class SqliteColumn implements EngineColumn {
  readonly isJson = false;
  readonly #location: ColumnLocation;

  constructor(location: ColumnLocation) {
    this.#location = location;
  }

  async scan(db: KnexDatabase, { after, limit }: RawScan): Promise<readonly RawRow[]> {
    const { table, column, key, tenantColumn, where } = this.#location;
    const conditions: string[] = where.map(([, value]) => (value === null ? '?? is null' : '?? = ?'));
    const bindings: unknown[] = where.flatMap(([name, value]) => (value === null ? [name] : [name, value]));
    if (after !== undefined) {
      conditions.push(`(${key.map(() => '??').join(', ')}) > (${key.map(() => '?').join(', ')})`);
      bindings.push(...key, ...after);
    }
    const columns = key.map((_, index) => integerAsText(`k${index}`)).join(', ');
    const sql = `select ${columns}, ${tenantColumn === undefined ? 'null' : '??'} as tenant, ?? as stored
      from ?? ${conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`}
      order by ${key.map(() => '??').join(', ')} limit ?`;
    const selected = [...key.flatMap(fourTimes), ...(tenantColumn === undefined ? [] : [tenantColumn]), column];
    const rows = await rowsOf<RawRow>(db, sql, [...selected, table, ...bindings, ...key, limit]);
    return rows.map((row) => withIntegers(row, key.length));
  }

  async compareAndSet(db: KnexDatabase, changes: readonly RowChange<KnexRow>[]): Promise<readonly boolean[]> {
    const atOnce = Math.floor(MAX_PARAMETERS / (this.#location.key.length + 2));
    const stored: boolean[] = [];
    for (let start = 0; start < changes.length; start += atOnce) {
      stored.push(...(await this.#update(db, changes.slice(start, start + atOnce))));
    }
    return stored;
  }

  async #update(db: KnexDatabase, changes: readonly RowChange<KnexRow>[]): Promise<readonly boolean[]> {
    const { table, column, key } = this.#location;
    const names = key.map((_, index) => `k${index}`);
    const row = `(${Array(key.length + 2)
      .fill('?')
      .join(', ')})`;
    const sql = `with v(${names.join(', ')}, expected, next) as (values ${changes.map(() => row).join(', ')})
      update ?? as t set ?? = v.next from v
      where ${names.map((name) => `t.?? = v.${name}`).join(' and ')} and t.?? is v.expected
      returning ${names.map(integerAsText).join(', ')}`;
    const values = changes.flatMap((change) => [...change.row.bound, change.row.raw, rawOf(change.next)]);
    const rows = await rowsOf<RawRow>(db, sql, [...values, table, column, ...key, column, ...key.flatMap(fourTimes)]);
    const stored = new Set(rows.map((found) => JSON.stringify(names.map((name) => String(found[name as 'k0'])))));
    return changes.map((change) => stored.has(JSON.stringify(change.row.bound.map(String))));
  }

  async count(db: KnexDatabase): Promise<number> {
    const [row] = await rowsOf<{ rows: number }>(db, 'select count(*) as rows from ??', [this.#location.table]);
    return Number(row?.rows ?? 0);
  }

  async constraint(db: KnexDatabase, rule: ColumnRule): Promise<ColumnConstraint> {
    const { table, column, key } = this.#location;
    return sqliteConstraint(rule, {
      table: quoted(db, table),
      column: quoted(db, column),
      key: key.map((name) => quoted(db, name)),
      name: (text) => quoted(db, text),
      prefix: `${table}_${column}`,
    });
  }
}

// The driver rounds integers beyond 2^53, unless a host asked for bigints. As text they are exact either way.
function integerAsText(name: string): string {
  return `case typeof(??) when 'integer' then cast(?? as text) else ?? end as ${name}, typeof(??) = 'integer' as ${name}i`;
}

function fourTimes(name: string): readonly string[] {
  return [name, name, name, name];
}

/** SQLite does not take text for an integer where the column has no type, so an integer has to be bound as one. */
function withIntegers(row: RawRow, keys: number): RawRow {
  const read: Record<string, unknown> = { ...row };
  for (let index = 0; index < keys; index++) {
    if (Number(read[`k${index}i`]) !== 1) continue;
    const exact = BigInt(String(read[`k${index}`]));
    read[`k${index}`] = Number.isSafeInteger(Number(exact)) ? Number(exact) : exact;
  }
  return read as RawRow;
}

interface ColumnFacts {
  /** Place in the primary key, from 1; 0 for a column that is not part of it. */
  readonly pk: number;
}

async function columnsOf(db: KnexDatabase, table: string): Promise<ReadonlyMap<string, ColumnFacts>> {
  const sql = 'select name, pk from pragma_table_info(?)';
  const rows = await rowsOf<ColumnFacts & { name: string }>(db, sql, [nameOf(db, table)]);
  return new Map(rows.map(({ name, pk }) => [name, { pk: Number(pk) }]));
}

/** Whether the primary key or a unique index without a condition covers exactly these columns. */
async function isUnique(
  db: KnexDatabase,
  { table, key }: ColumnLocation,
  columns: ReadonlyMap<string, ColumnFacts>,
): Promise<boolean> {
  const wanted = sorted(key.map((name) => nameOf(db, name)));
  if (sorted([...columns].filter(([, { pk }]) => pk > 0).map(([name]) => name)) === wanted) return true;
  const sql = `select l.name as listed, i.name as name from pragma_index_list(?) as l, pragma_index_info(l.name) as i
    where l."unique" = 1 and l.partial = 0`;
  const indexes = Map.groupBy(
    await rowsOf<{ listed: string; name: string | null }>(db, sql, [nameOf(db, table)]),
    ({ listed }) => listed,
  );
  return [...indexes.values()].some((parts) => sorted(parts.map(({ name }) => String(name))) === wanted);
}

/** SQLite lets a primary key be null, and a scan in its order would pass such a row by. */
async function hasNulls(db: KnexDatabase, { table, key }: ColumnLocation): Promise<boolean> {
  const sql = `select 1 from ?? where ${key.map(() => '?? is null').join(' or ')} limit 1`;
  return (await rowsOf(db, sql, [table, ...key])).length > 0;
}

function sorted(names: readonly string[]): string {
  return JSON.stringify(names.toSorted());
}

/** The name that the catalogue has: a host's knex may map names on their way. */
function nameOf(db: KnexDatabase, name: string): string {
  return quoted(db, name).slice(1, -1).replaceAll('``', '`');
}

function unsupported({ table }: ColumnLocation, expected: string, received: string): ColumnMigrationError {
  return new ColumnMigrationError('ERR_COLUMN_SOURCE_UNSUPPORTED', { context: { table, expected, received } });
}
