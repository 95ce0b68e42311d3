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
    const index = await uniqueIndex(db, location, columns);
    if (index === undefined || (await hasNulls(db, location))) {
      throw new ColumnMigrationError('ERR_COLUMN_SOURCE_KEY', { context: { table, field: key.join(', ') } });
    }
    return new SqliteColumn(location, index);
  },

  async snapshot<T>(db: KnexDatabase, _location: ColumnLocation, work: (trx: KnexDatabase) => Promise<T>): Promise<T> {
    return await db.transaction(work);
  },
};

class SqliteColumn implements EngineColumn {
  readonly isJson = false;
  readonly #location: ColumnLocation;
  readonly #index: readonly KeyPart[];

  constructor(location: ColumnLocation, index: readonly KeyPart[]) {
    this.#location = location;
    this.#index = index;
  }

  async scan(db: KnexDatabase, { after, limit }: RawScan): Promise<readonly RawRow[]> {
    const { table, column, key, tenantColumn, where } = this.#location;
    const conditions: string[] = where.map(([, value]) => (value === null ? 't.?? is null' : 't.?? = ?'));
    const bindings: unknown[] = where.flatMap(([name, value]) => (value === null ? [name] : [name, value]));
    // Every column with its table: in ORDER BY a bare name is first of all one of the result's.
    const ordered = this.#index.map(({ name, collate }) => ({ name, sql: `t.??${collate}` }));
    const order = ordered.map(({ sql }) => sql).join(', ');
    const names = ordered.map(({ name }) => name);
    if (after !== undefined) {
      const limits = names.map((name) => after[key.indexOf(name)]);
      if (this.#index.some(({ collate }) => collate !== '')) {
        // The index is not used for a row of columns with collations, so its first one stands alone too.
        conditions.push(`${ordered[0]?.sql} >= ?`);
        bindings.push(names[0], limits[0]);
      }
      conditions.push(`(${order}) > (${key.map(() => '?').join(', ')})`);
      bindings.push(...names, ...limits);
    }
    const columns = key.map((_, index) => integerAsText(`k${index}`)).join(', ');
    const tenant = tenantColumn === undefined ? 'null as tenant' : integerAsText('tenant');
    const sql = `select ${columns}, ${tenant}, t.?? as stored
      from ?? as t ${conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`}
      order by ${order} limit ?`;
    const selected = [...key, ...(tenantColumn === undefined ? [] : [tenantColumn])].flatMap(fourTimes);
    const rows = await rowsOf<RawRow>(db, sql, [...selected, column, table, ...bindings, ...names, limit]);
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
    const collates = key.map((name) => this.#index.find((part) => part.name === name)?.collate ?? '');
    const row = `(${Array(key.length + 2)
      .fill('?')
      .join(', ')})`;
    const sql = `with v(${names.join(', ')}, expected, next) as (values ${changes.map(() => row).join(', ')})
      update ?? as t set ?? = v.next from v
      where ${names.map((name, index) => `t.?? = v.${name}${collates[index]}`).join(' and ')} and t.?? is v.expected collate binary
      returning ${names.map(integerAsText).join(', ').replaceAll('t.??', '??')}`;
    const values = changes.flatMap((change) => [...change.row.bound, change.row.raw, rawOf(change.next)]);
    const rows = await rowsOf<RawRow>(db, sql, [...values, table, column, ...key, column, ...key.flatMap(fourTimes)]);
    const stored = new Set(rows.map((found) => JSON.stringify(names.map((_, index) => exactKey(found, index)))));
    return changes.map(({ row: { bound } }) =>
      stored.has(JSON.stringify(bound.map((value) => [String(value), typeof value !== 'string']))),
    );
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
  return `case typeof(t.??) when 'integer' then cast(t.?? as text) else t.?? end as ${name}, typeof(t.??) = 'integer' as ${name}i`;
}

/** A part of a key with whether it is an integer: a column without a type may hold 1 and the text 1. */
function exactKey(row: RawRow, index: number): readonly [text: string, isInteger: boolean] {
  const read = row as unknown as Readonly<Record<string, unknown>>;
  return [String(read[`k${index}`]), Number(read[`k${index}i`]) === 1];
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

/** A column of the key as the index has it. */
interface KeyPart {
  readonly name: string;
  /** The collation under which it is unique, in SQL; empty where it is the column's own for certain. */
  readonly collate: string;
}

/** The key in the order of the index that covers exactly its columns, without a condition; of the rowid without one. */
async function uniqueIndex(
  db: KnexDatabase,
  { table, key }: ColumnLocation,
  columns: ReadonlyMap<string, ColumnFacts>,
): Promise<readonly KeyPart[] | undefined> {
  const given = new Map(key.map((name) => [nameOf(db, name), name]));
  const wanted = sorted([...given.keys()]);
  const sql = `select l.name as listed, i.name as name, i.coll as coll
    from pragma_index_list(?) as l, pragma_index_xinfo(l.name) as i
    where l."unique" = 1 and l.partial = 0 and i.key = 1 order by l.origin = 'pk' desc, l.seq, i.seqno`;
  const rows = await rowsOf<{ listed: string; name: string | null; coll: string }>(db, sql, [nameOf(db, table)]);
  const ownIsBinary = await hasNoCollation(db, table);
  const collateOf = (coll: string): string =>
    ownIsBinary && coll === 'BINARY' ? '' : ` collate "${coll.replaceAll('"', '""')}"`;
  for (const parts of Map.groupBy(rows, ({ listed }) => listed).values()) {
    if (sorted(parts.map(({ name }) => String(name))) !== wanted) continue;
    return parts.map(({ name, coll }) => ({ name: given.get(String(name)) as string, collate: collateOf(coll) }));
  }
  const rowid = [...columns].filter(([, { pk }]) => pk > 0).map(([name]) => name);
  return sorted(rowid) === wanted ? key.map((name) => ({ name, collate: '' })) : undefined;
}

/** Whether every column of the table compares byte by byte: no catalogue tells, only the text that made the table. */
async function hasNoCollation(db: KnexDatabase, table: string): Promise<boolean> {
  const sql = "select sql from sqlite_master where type = 'table' and lower(name) = lower(?)";
  const [row] = await rowsOf<{ sql: string | null }>(db, sql, [nameOf(db, table)]);
  return typeof row?.sql === 'string' && !/collate/i.test(row.sql);
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
