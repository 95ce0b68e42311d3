import type { ColumnCodec, ColumnPlace } from '../columns/column-codec.ts';
import { ColumnError } from '../columns/errors.ts';
import { invalid } from '../columns/options.ts';
import { isName } from '../columns/place.ts';
import { describe } from '../keywright-error.ts';

/**
 * The encrypted columns of one table, as an adapter that sees rows is told of them. `R`, the rows' type, holds their names
 * to those of the rows: a column misspelt here would be left in the clear.
 */
export interface EncryptedTable<R extends object = Record<string, unknown>> {
  /** Codecs by column, under the names that the rows have here. */
  readonly columns: { readonly [C in keyof R]?: ColumnCodec<unknown> };
  /**
   * All columns of the primary key, under the names that the rows have here, which are bound too.
   * @default ['id']
   */
  readonly key?: readonly (keyof R & string)[] | undefined;
  /**
   * Column that holds the tenant of a row. A row is then bound to what stands there, instead of its codec's tenant.
   * @default none
   */
  readonly tenant?: (keyof R & string) | undefined;
}

export type Row = Readonly<Record<string, unknown>>;

const DEFAULT_KEY: readonly string[] = Object.freeze(['id']);

/** Encrypts and decrypts rows of one table. For adapters: names and completeness are checked once. */
export class EncryptedColumns {
  readonly codecs: ReadonlyMap<string, ColumnCodec<unknown>>;
  readonly key: readonly string[];
  readonly tenant: string | undefined;
  /** Whether any value is bound to its row. */
  readonly bindsRow: boolean;

  readonly #boundAs: (column: string) => string;

  /**
   * @param boundAs what the database calls a column of the key
   * @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT`
   */
  constructor(table: EncryptedTable, boundAs: (column: string) => string = (column) => column) {
    this.#boundAs = boundAs;
    const columns: unknown = table?.columns;
    if (typeof columns !== 'object' || columns === null || Object.keys(columns).length === 0) {
      throw invalid('columns', 'codecs by column', describe(columns));
    }
    this.codecs = new Map(Object.entries(columns).map(([column, codec]) => [column, checkCodec(codec)]));
    this.key = Object.freeze([...checkKey(table.key ?? DEFAULT_KEY)]);
    this.tenant = table.tenant;
    this.bindsRow = [...this.codecs.values()].some((codec) => codec.binds === 'row');
    for (const column of [...this.key, this.tenant]) {
      if (column !== undefined && !isName(column)) throw invalid('tenant', 'a column', describe(column));
      // What a value is found by cannot be inside it.
      if (column !== undefined && this.codecs.has(column)) throw invalid('key', 'columns in the clear', column);
    }
  }

  /** Whether a column of these is among the names of `row`, undefined ones left out. */
  touches(row: Row): boolean {
    for (const column of this.codecs.keys()) if (row[column] !== undefined) return true;
    return false;
  }

  /**
   * A copy of `row` with its encrypted columns encoded; `known` fills in what the row does not say itself, such as the
   * key of the row that an update is for.
   */
  encode(row: Row, known: Row = {}): Record<string, unknown> {
    this.refuseSpellings(Object.keys(row));
    const encoded = { ...row };
    for (const [column, codec] of this.codecs) {
      const value = row[column];
      if (value === undefined) continue;
      refuseExpression(codec, value);
      encoded[column] = codec.encode(value, this.placeOf(row, known));
    }
    return encoded;
  }

  /**
   * Many databases take a column's name in any case, query builders trim it, take its table before it, or make `api_key`
   * of `apiKey`: such a value would go by unencrypted.
   * @throws ColumnError `ERR_COLUMN_STATEMENT_REFUSED`
   */
  refuseSpellings(names: readonly string[]): void {
    for (const name of names) {
      if (this.codecs.has(name)) continue;
      const column = name.slice(name.lastIndexOf('.') + 1);
      for (const [encrypted, codec] of this.codecs) {
        if (sameSpelling(encrypted, column)) throw refused(codec, 'another spelling');
      }
    }
  }

  /** Whether a name is that of an encrypted column, however it is spelt. */
  hasSpelling(name: string): boolean {
    return this.codecs.has(name) || [...this.codecs.keys()].some((column) => sameSpelling(column, name));
  }

  /** A copy of `row` with its encrypted columns decoded, those that it has. */
  decode(row: Row): Record<string, unknown> {
    const decoded = { ...row };
    for (const [column, codec] of this.codecs) {
      if (Object.hasOwn(row, column)) decoded[column] = codec.decode(row[column], this.placeOf(row));
    }
    return decoded;
  }

  /**
   * Refuses changes after which values would no longer be where they are bound to: of the key, and of the tenant without
   * every value.
   * @throws ColumnError `ERR_COLUMN_STATEMENT_REFUSED`
   */
  refuseMoves(changes: Row): void {
    const codecs = [...this.codecs];
    for (const [, codec] of this.bindsRow ? codecs.filter(([, { binds }]) => binds === 'row') : []) {
      if (this.key.some((column) => changes[column] !== undefined)) throw refused(codec, 'a change of the key');
    }
    if (this.tenant === undefined || changes[this.tenant] === undefined) return;
    const left = codecs.find(([column]) => changes[column] === undefined);
    if (left !== undefined) throw refused(left[1], 'a change of the tenant');
  }

  /** What of a row tells its place: key and tenant. */
  placeColumns(row: Row): Row {
    const names = this.tenant === undefined ? this.key : [...this.key, this.tenant];
    return Object.fromEntries(names.map((column) => [column, row[column]]));
  }

  placeOf(row: Row, known: Row = {}): ColumnPlace {
    const read = (column: string): unknown => row[column] ?? known[column];
    const key = Object.fromEntries(
      this.key.map((column) => [this.#boundAs(column), read(column)]),
    ) as ColumnPlace['key'];
    if (this.tenant === undefined) return { key };
    // Empty where the row lacks it: never the tenant of the codec instead.
    return { key, tenant: (read(this.tenant) ?? '') as string };
  }
}

/** Whether two names differ in nothing but case, underscores and blanks. */
export function sameSpelling(one: string, other: string): boolean {
  const bare = (name: string): string => name.replace(/[\s_]/g, '').toLowerCase();
  return bare(one) === bare(other);
}

/** @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT` for what is no codec, or does not bind what the adapter can see */
export function checkCodec<T>(codec: ColumnCodec<T>, binds?: 'column'): ColumnCodec<T> {
  if (typeof codec?.encode !== 'function' || typeof codec.decode !== 'function') {
    throw invalid('codec', 'a codec made by columnCodec()', describe(codec));
  }
  if (binds !== undefined && codec.binds !== binds) throw invalid('codec', "binds: 'column'", codec.binds);
  return codec;
}

/**
 * SQL in the place of a value would be encrypted as if it were data, or go by unencrypted.
 * @throws ColumnError `ERR_COLUMN_STATEMENT_REFUSED`
 */
export function refuseExpression(codec: ColumnCodec<unknown>, value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const method of ['toSQL', 'toKnexRaw', 'toOperationNode', 'getSQL']) {
    if (typeof (value as Record<string, unknown>)[method] !== 'function') continue;
    throw refused(codec, method);
  }
}

function refused({ table, column }: ColumnCodec<unknown>, received: string): ColumnError {
  return new ColumnError('ERR_COLUMN_STATEMENT_REFUSED', { context: { table, field: column, received } });
}

function checkKey(key: unknown): readonly string[] {
  if (Array.isArray(key) && key.length > 0 && key.every(isName) && new Set(key).size === key.length) return key;
  throw invalid('key', 'the columns of the primary key', describe(key));
}
