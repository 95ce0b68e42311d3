import { ColumnError } from '../../columns/errors.ts';
import type { EncryptedColumns, Row } from '../encrypted-columns.ts';
import { childOf, columnOf, type Node, nameOf, qualifierOf } from './node.ts';
import { refusal } from './refusal.ts';
import type { Source } from './scope.ts';

/** What is to be decrypted in the rows that a statement gives, by the names that they have there. */
export class Outputs {
  readonly #encrypted = new Map<string, { readonly source: Source; readonly column: string }>();
  readonly #places = new Map<Source, Map<string, string>>();
  /** Names that two columns were given. */
  readonly #taken = new Map<string, string>();

  /**
   * @param understood hears of every node of a column that is accounted for
   * @throws ColumnError `ERR_COLUMN_ROW_KEY_MISSING`, `ERR_COLUMN_STATEMENT_REFUSED`
   */
  constructor(scope: readonly Source[], selections: readonly Node[], understood: (node: Node) => void) {
    for (const node of selections) this.#select(scope, childOf(node, 'selection') as Node, understood);
    for (const { source, column } of this.#encrypted.values()) {
      const columns = source.columns as EncryptedColumns;
      if (columns.codecs.get(column)?.binds === 'column') continue;
      const missing = columns.key.find((name) => !this.#places.get(source)?.has(name));
      if (missing === undefined) continue;
      const context = { ...refusal(columns, column, 'select').context, expected: missing };
      throw new ColumnError('ERR_COLUMN_ROW_KEY_MISSING', { context });
    }
  }

  get isEmpty(): boolean {
    return this.#encrypted.size === 0;
  }

  /** Names that encrypted columns were given here. */
  get renamed(): ReadonlySet<string> {
    return new Set([...this.#encrypted].filter(([name, { column }]) => name !== column).map(([name]) => name));
  }

  /** The same for queries that give the same columns under the same names. */
  get signature(): string {
    const places = [...this.#places.values()].map((place) => Array.from(place));
    return JSON.stringify([
      [...this.#encrypted].map(([name, { source, column }]) => [name, source.alias, column]),
      places,
    ]);
  }

  /** Whether a row has everything that is to be decrypted. */
  fits(row: Row): boolean {
    return [...this.#encrypted.keys()].every((name) => Object.hasOwn(row, name));
  }

  /** @param known what is known of the row already */
  decode(row: Row, known: Row = row): Row {
    const decoded: Record<string, unknown> = { ...known };
    for (const [name, { source, column }] of this.#encrypted) {
      const columns = source.columns as EncryptedColumns;
      // Another plugin renamed it: what stands under its new name would go out as it is stored.
      if (!Object.hasOwn(row, name)) throw refusal(columns, column, 'result');
      const place = Object.fromEntries([...(this.#places.get(source) ?? [])].map(([to, from]) => [to, row[from]]));
      decoded[name] = columns.codecs.get(column)?.decode(row[name], columns.placeOf(place));
    }
    return decoded;
  }

  #select(scope: readonly Source[], selection: Node, understood: (node: Node) => void): void {
    const alias = selection.kind === 'AliasNode' ? nameOf(childOf(selection, 'alias')) : undefined;
    const node = selection.kind === 'AliasNode' ? (childOf(selection, 'node') as Node) : selection;
    const source = sourceIn(scope, node);
    const all = node.kind === 'SelectAllNode' || childOf(node, 'column')?.kind === 'SelectAllNode';
    if (all) {
      if (source === undefined) return;
      understood(selection);
      const { key = [], codecs = new Map<string, unknown>(), tenant } = source.columns ?? {};
      for (const column of [...key, ...codecs.keys(), ...(tenant === undefined ? [] : [tenant])]) {
        this.#output(source, column, column);
      }
      return;
    }
    const column = columnOf(node);
    const name = nameOf(column);
    if (column === undefined || name === undefined || source?.columns === undefined) return;
    if (selection.kind === 'AliasNode' && alias === undefined) return;
    if (!source.columns.codecs.has(name) && source.columns.hasSpelling(name)) return;
    understood(column);
    this.#output(source, name, alias ?? name);
  }

  #output(source: Source, column: string, name: string): void {
    const columns = source.columns as EncryptedColumns;
    const encrypted = columns.codecs.has(column);
    if (!encrypted && !columns.key.includes(column) && columns.tenant !== column) return;
    const identity = `${source.alias}.${column}`;
    if ((this.#taken.get(name) ?? identity) !== identity) throw refusal(columns, column, 'two columns of one name');
    this.#taken.set(name, identity);
    if (encrypted) {
      this.#encrypted.set(name, { source, column });
    } else {
      const places = this.#places.get(source) ?? new Map<string, string>();
      this.#places.set(source, places.set(column, name));
    }
  }
}

/** The source that a column is of: the one it names, or the only one that it can be of. */
function sourceIn(scope: readonly Source[], node: Node): Source | undefined {
  const qualifier = qualifierOf(node);
  if (qualifier !== undefined) return scope.find((source) => source.alias === qualifier);
  if (scope.length === 1) return scope[0];
  const name = nameOf(columnOf(node));
  // The database would refuse the name if another table had it too.
  const owners = scope.filter((source) => name !== undefined && source.columns?.codecs.has(name));
  return owners.length === 1 ? owners[0] : undefined;
}
