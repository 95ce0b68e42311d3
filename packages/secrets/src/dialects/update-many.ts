import type { Knex } from 'knex';
import { asRows } from '../internal/rows.ts';

/** SQL types that a batch of values can have. */
export type ValueKind = 'uuid' | 'text' | 'integer' | 'bytes';

/** One column's values, row by row. */
export interface ColumnValues {
  readonly column: string;
  readonly kind: ValueKind;
  readonly values: readonly unknown[];
}

/** Rows that are set at once, each to values of its own. */
export interface ManyRows {
  readonly table: string;
  /** What all of them have. */
  readonly where: Readonly<Record<string, string>>;
  /** What one of them is found by. */
  readonly key: readonly ColumnValues[];
  /** What was read: a row that is otherwise by now is left as it is. */
  readonly unchanged: readonly ColumnValues[];
  /** Of the columns that are set, those that are left as they are where only one of the old and the new value is null. */
  readonly keepNulls?: readonly string[];
  readonly set: readonly ColumnValues[];
  /** Leaves alone rows that another transaction has locked, instead of waiting for it. */
  readonly skipLocked: boolean;
}

const ARRAYS: Readonly<Record<ValueKind, string>> = {
  uuid: 'uuid[]',
  text: 'text[]',
  integer: 'integer[]',
  bytes: 'bytea[]',
};

// SQLite takes 32,766 parameters in a statement.
const MAX_PARAMETERS = 30_000;

/** One statement; the rows travel as one array for each column. Returns how many rows were set. */
export async function updateManyPostgres(trx: Knex, rows: ManyRows): Promise<number> {
  const columns = columnsOf(rows);
  const names = columns.map((_, index) => `c${index}`);
  const given = `unnest(${columns.map(({ kind }) => `?::${ARRAYS[kind]}`).join(', ')}) as v(${names.join(', ')})`;
  const arrays = columns.map(({ values }) => values);
  const where = condition(rows, 'is not distinct from');
  const set = assignments(rows);
  const direct = {
    sql: `update ?? as t set ${set.sql} from ${given} where ${where.sql}`,
    bindings: [rows.table, ...set.bindings, ...arrays, ...where.bindings],
  };
  const found = condition({ ...rows, unchanged: [], keepNulls: [] }, '=');
  const free = {
    sql:
      `with v as (select v.* from ?? as t join ${given} on ${where.sql} for no key update of t skip locked) ` +
      `update ?? as t set ${set.sql} from v where ${found.sql}`,
    bindings: [rows.table, ...arrays, ...where.bindings, rows.table, ...set.bindings, ...found.bindings],
  };
  const { sql, bindings } = rows.skipLocked ? free : direct;
  const result = (await trx.raw(sql, bindings as never)) as { readonly rowCount: number };
  return result.rowCount;
}

/** As few statements as the number of parameters allows. Returns how many rows were set. */
export async function updateManySqlite(trx: Knex, rows: ManyRows): Promise<number> {
  const columns = columnsOf(rows);
  const names = columns.map((_, index) => `c${index}`);
  const where = condition(rows, 'is');
  const set = assignments(rows);
  const count = columns[0]?.values.length ?? 0;
  const step = Math.floor(MAX_PARAMETERS / columns.length);
  let updated = 0;
  for (let from = 0; from < count; from += step) {
    const size = Math.min(step, count - from);
    const tuple = `(${columns.map(() => '?').join(', ')})`;
    const values = Array.from({ length: size }, (_, row) => columns.map((column) => column.values[from + row]));
    const result: unknown = await trx.raw(
      `with v(${names.join(', ')}) as (values ${Array.from({ length: size }, () => tuple).join(', ')}) ` +
        `update ?? as t set ${set.sql} from v where ${where.sql} returning 1 as one`,
      [...values.flat(), rows.table, ...set.bindings, ...where.bindings] as never,
    );
    updated += asRows<object>(result).length;
  }
  return updated;
}

function columnsOf({ key, unchanged, set }: ManyRows): readonly ColumnValues[] {
  return [...key, ...unchanged, ...set];
}

function assignments({ key, unchanged, set }: ManyRows): {
  readonly sql: string;
  readonly bindings: readonly string[];
} {
  const first = key.length + unchanged.length;
  return {
    sql: set.map((_, index) => `?? = v.c${first + index}`).join(', '),
    bindings: set.map(({ column }) => column),
  };
}

function condition(
  { where, key, unchanged, set, keepNulls = [] }: ManyRows,
  same: string,
): { readonly sql: string; readonly bindings: readonly string[] } {
  const fixed = Object.entries(where);
  const first = key.length + unchanged.length;
  const nulls = [...set.entries()].filter(([, { column }]) => keepNulls.includes(column));
  return {
    sql: [
      ...fixed.map(() => '?? = ?'),
      ...key.map((_, index) => `?? = v.c${index}`),
      ...unchanged.map((_, index) => `?? ${same} v.c${key.length + index}`),
      ...nulls.map(([index]) => `(?? is null) = (v.c${first + index} is null)`),
    ].join(' and '),
    bindings: [
      ...fixed.flatMap(([column, value]) => [`t.${column}`, value]),
      ...[...key, ...unchanged].map(({ column }) => `t.${column}`),
      ...nulls.map(([, { column }]) => `t.${column}`),
    ],
  };
}
