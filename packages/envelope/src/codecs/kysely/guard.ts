import { mentions, mentionsRow } from '../sql-text.ts';
import { childOf, childrenOf, columnOf, fieldOf, listOf, type Node, nameOf, qualifierOf } from './node.ts';
import { refusal } from './refusal.ts';
import { type Names, type Source, scopeOf, type Tables } from './scope.ts';

/** `*` as a list of columns, not as a factor. */
const ALL = /(?:^|[\s,])\*\s*(?:$|,|\sfrom\s)|\.\s*\*/i;

/** Refuses whatever touches an encrypted column and is not accounted for. */
export class Guard {
  readonly #tables: Tables;
  readonly #names: Names;
  readonly #understood: ReadonlySet<Node>;
  readonly #renamed: ReadonlySet<string>;

  /** @param renamed names that the statement gives to encrypted columns, which its conditions could use */
  constructor(tables: Tables, names: Names, understood: ReadonlySet<Node>, renamed: ReadonlySet<string>) {
    this.#tables = tables;
    this.#names = names;
    this.#understood = understood;
    this.#renamed = renamed;
  }

  /** @throws ColumnError `ERR_COLUMN_STATEMENT_REFUSED` */
  check(root: Node): void {
    for (const text of this.#names.raws) this.#checkRaw(text);
    this.#check(root, []);
  }

  #check(node: Node, outer: readonly Source[]): void {
    if (this.#understood.has(node)) return;
    const scope = node.kind.endsWith('QueryNode') ? scopeOf(this.#tables, node) : outer;
    if (node.kind === 'SelectionNode' && this.#understood.has(childOf(node, 'selection') as Node)) return;
    if (node.kind === 'SelectionNode') this.#checkAll(childOf(node, 'selection') as Node, scope);
    if (isNullCheck(node) || isRowCount(node)) return;
    if (node.kind === 'InsertQueryNode') this.#checkInsert(node);
    if (node.kind.endsWith('FunctionNode')) this.#checkRows(node);
    const column = columnOf(node);
    if (column !== undefined && !this.#understood.has(column)) {
      const name = nameOf(column) ?? '';
      const renamed = qualifierOf(node) === undefined && this.#renamed.has(name);
      if (renamed || this.#names.encrypts(name, qualifierOf(node))) throw refusal(undefined, name, 'reference');
    }
    if (column !== undefined) return;
    for (const child of childrenOf(node)) this.#check(child, scope);
  }

  #checkAll(selection: Node, scope: readonly Source[]): void {
    const qualifier = qualifierOf(selection);
    const all = selection.kind === 'SelectAllNode' || childOf(selection, 'column')?.kind === 'SelectAllNode';
    if (!all) return;
    const encrypted =
      qualifier === undefined
        ? scope.some(({ columns }) => columns !== undefined)
        : this.#names.hasEncrypted(qualifier);
    if (encrypted) throw refusal(undefined, '*', 'select all');
  }

  /** A function of whole rows, such as `json_agg(table)`, has what is in them. */
  #checkRows(call: Node): void {
    for (const argument of childrenOf(call)) {
      const row = argument.kind === 'TableNode' || (columnOf(argument) !== undefined && !qualifierOf(argument));
      const name = row ? nameOf(columnOf(argument) ?? argument) : undefined;
      if (name !== undefined && this.#names.rows.includes(name)) throw refusal(undefined, '*', 'function of rows');
    }
  }

  /** Without columns, one that is a part of another statement would fill them all as they come. */
  #checkInsert(node: Node): void {
    const [target] = scopeOf(this.#tables, node);
    const values = childOf(node, 'values');
    if (target?.columns === undefined || values === undefined || listOf(node, 'columns').length > 0) return;
    throw refusal(undefined, '*', 'insert without columns');
  }

  /** SQL text is not parsed. Where it names an encrypted table or column, or all columns, it could do anything. */
  #checkRaw(text: string): void {
    const names = [...this.#tables.keys()];
    for (const { codecs } of this.#names.mentioned) names.push(...codecs.keys());
    for (const name of names) if (mentions(text, name)) throw refusal(undefined, name, 'raw');
    for (const name of this.#names.rows) if (mentionsRow(text, name)) throw refusal(undefined, '*', 'raw');
    if (this.#names.mentioned.size > 0 && ALL.test(text)) throw refusal(undefined, '*', 'raw');
  }
}

/** `column is null` and `column is not null`: null is stored as null. */
function isNullCheck(node: Node): boolean {
  if (node.kind !== 'BinaryOperationNode') return false;
  const operator = childOf(node, 'operator');
  const right = childOf(node, 'rightOperand');
  if (operator?.kind !== 'OperatorNode' || right?.kind !== 'ValueNode' || fieldOf(right, 'value') !== null)
    return false;
  return (
    ['is', 'is not'].includes(String(fieldOf(operator, 'operator'))) &&
    columnOf(childOf(node, 'leftOperand')) !== undefined
  );
}

/** `count(*)` */
function isRowCount(node: Node): boolean {
  const [argument] = listOf(node, 'aggregated');
  const counts = node.kind === 'AggregateFunctionNode' && fieldOf(node, 'func') === 'count';
  return counts && childOf(argument, 'selection')?.kind === 'SelectAllNode' && childOf(node, 'filter') === undefined;
}

/** Columns that an insert or an update of a table without encrypted columns names as its own. */
export function ownColumns(query: Node): readonly Node[] {
  const updated = listOf(query, 'updates').map((update) => childOf(update, 'column') as Node);
  // Several tables updated at once: whose column it is shows only in its qualifier.
  const alone = childOf(query, 'table')?.kind !== 'ListNode';
  const own = alone ? updated.filter((column) => qualifierOf(column) === undefined) : [];
  return [...listOf(query, 'columns'), ...own.flatMap((column) => columnOf(column) ?? [])];
}
