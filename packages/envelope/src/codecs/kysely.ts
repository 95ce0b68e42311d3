import { invalid } from '../columns/options.ts';
import { describe } from '../keywright-error.ts';
import { EncryptedColumns, type EncryptedTable } from './encrypted-columns.ts';
import { Guard, ownColumns } from './kysely/guard.ts';
import { childOf, listOf, type Node } from './kysely/node.ts';
import { Outputs } from './kysely/outputs.ts';
import { Plans } from './kysely/plans.ts';
import { Names, scopeOf, type Tables } from './kysely/scope.ts';
import { encodeInsert, encodeUpdate } from './kysely/writes.ts';

export type { EncryptedTable } from './encrypted-columns.ts';

/** `DB`, the type of the database as `Kysely<DB>` has it, holds the names here to those of its tables and columns. */
export interface KyselyEncryptionOptions<DB extends object = AnyDatabase> {
  /** Encrypted columns by table, under the names that queries use, without a schema: the name stands for all of them. */
  readonly tables: { readonly [T in keyof DB as WithoutSchema<T>]?: EncryptedTable<DB[T] & object> };
}

type AnyDatabase = Record<string, Record<string, unknown>>;
type WithoutSchema<T> = T extends `${string}.${infer Name}` ? Name : T;

type Rows = readonly Readonly<Record<string, unknown>>[];

/** A `KyselyPlugin`. */
export interface KyselyEncryption {
  readonly binds: 'row' | 'column';
  transformQuery<N extends { readonly kind: string }>(args: { readonly queryId: object; readonly node: N }): N;
  transformResult<R extends { readonly rows: Rows }>(args: {
    readonly queryId: object;
    readonly result: R;
  }): Promise<R>;
}

const STATEMENTS: ReadonlySet<string> = new Set([
  'SelectQueryNode',
  'InsertQueryNode',
  'UpdateQueryNode',
  'DeleteQueryNode',
  'MergeQueryNode',
  'RawNode',
]);

/**
 * A Kysely plugin that encrypts values as they go into a statement and decrypts the rows that come back. Values are
 * bound to what their codecs bind. With the row, the plugin must find the key in the statement:
 *
 * - an insert names it, an update has `where key = value`, joined by AND alone
 * - a select or `returning` has it beside the encrypted column
 * - `onConflict` on exactly the key takes `excluded.column`, or plain values for a single row
 *
 * What it cannot follow, it refuses before the statement runs: an expression or a subquery in place of a value, an
 * encrypted column in a condition other than `is null`, in a function, in a subquery, in a CTE or in a `union`,
 * `select *` over a join, `merge`, raw SQL that names an encrypted table or column. `db.withoutPlugins()` goes by it, and
 * sees what is stored. Schema statements pass. Names must be the same in statement and result, so it does not work with
 * `CamelCasePlugin`, and refuses rows where a column is missing.
 *
 * Give it the type of the database: without, a table or a column that is misspelt here is left in the clear.
 *
 * @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT`; queries throw what `ColumnCodec` throws, and
 * `ERR_COLUMN_STATEMENT_REFUSED`
 *
 * @example
 * ```ts
 * import { keyringFromEnv } from '@keywright/envelope';
 * import { kyselyEncryption } from '@keywright/envelope/codecs/kysely';
 * import { columnCodec } from '@keywright/envelope/columns';
 * import Database from 'better-sqlite3';
 * import { Kysely, SqliteDialect } from 'kysely';
 *
 * interface Schema {
 *   connections: { id: string; credentials: { apiKey: string } | null };
 * }
 * const codec = columnCodec({ keyring: keyringFromEnv(), table: 'connections', column: 'credentials' });
 * const db = new Kysely<Schema>({
 *   dialect: new SqliteDialect({ database: new Database('app.sqlite') }),
 *   plugins: [kyselyEncryption<Schema>({ tables: { connections: { columns: { credentials: codec } } } })],
 * });
 * await db.insertInto('connections').values({ id: 'c1', credentials: { apiKey: 'sk_test_1' } }).execute();
 * await db.selectFrom('connections').selectAll().execute();
 * ```
 */
export function kyselyEncryption<DB extends object = AnyDatabase>(
  options: KyselyEncryptionOptions<NoInfer<DB>>,
): KyselyEncryption {
  const given: unknown = options?.tables;
  if (typeof given !== 'object' || given === null || Object.keys(given).length === 0) {
    throw invalid('tables', 'encrypted columns by table', describe(given));
  }
  const tables: Tables = new Map(
    Object.entries(given).map(([name, table]) => [checkTable(name), new EncryptedColumns(table)]),
  );
  const plans = new Plans();
  return Object.freeze({
    binds: [...tables.values()].some((table) => table.bindsRow) ? 'row' : 'column',
    transformQuery<N extends Node>({ queryId, node }: { readonly queryId: object; readonly node: N }): N {
      const { rewritten, outputs } = transform(tables, node);
      plans.add(queryId, outputs);
      return rewritten as N;
    },
    async transformResult<R extends { readonly rows: Rows }>(args: {
      readonly queryId: object;
      readonly result: R;
    }): Promise<R> {
      const decode = plans.decoderOf(args.queryId);
      return decode === undefined ? args.result : { ...args.result, rows: args.result.rows.map(decode) };
    },
  });
}

/** Kysely takes what stands before a dot for a schema, so that such a name would match nothing. */
function checkTable(name: string): string {
  if (name !== '' && !name.includes('.')) return name;
  throw invalid('tables', 'names of tables, without their schema', name);
}

function transform(tables: Tables, root: Node): { readonly rewritten: Node; readonly outputs?: Outputs } {
  if (!STATEMENTS.has(root.kind)) return { rewritten: root };
  const names = new Names(tables, root);
  if (names.mentioned.size === 0 && names.raws.length === 0) return { rewritten: root };
  const understood = new Set<Node>();
  const hear = (node: Node): void => void understood.add(node);
  const rewritten = encode(tables, root, hear);
  const outputs = outputsOf(tables, root, hear);
  new Guard(tables, names, understood, outputs.renamed).check(root);
  // A plan of the database is no row of the table.
  return childOf(root, 'explain') !== undefined || outputs.isEmpty ? { rewritten } : { rewritten, outputs };
}

function encode(tables: Tables, root: Node, understood: (node: Node) => void): Node {
  if (root.kind !== 'InsertQueryNode' && root.kind !== 'UpdateQueryNode') return root;
  const scope = scopeOf(tables, root);
  const [target] = scope;
  if (target?.columns === undefined) {
    for (const column of ownColumns(root)) understood(column);
    return root;
  }
  if (childOf(root, 'table')?.kind === 'ListNode') return root;
  if (root.kind === 'InsertQueryNode') return encodeInsert(root, target.columns, understood);
  return encodeUpdate(root, target, scope.length === 1, understood);
}

function outputsOf(tables: Tables, root: Node, understood: (node: Node) => void): Outputs {
  // The rows of a union are of several selects, under the names of the first.
  const united = listOf(root, 'setOperations').length > 0;
  const selections = root.kind === 'SelectQueryNode' ? root : childOf(root, 'returning');
  return new Outputs(scopeOf(tables, root), united ? [] : listOf(selections, 'selections'), understood);
}
