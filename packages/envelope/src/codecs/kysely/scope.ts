import { type EncryptedColumns, sameSpelling } from '../encrypted-columns.ts';
import { childOf, childrenOf, fieldOf, listOf, type Node, nameOf } from './node.ts';
import { refusal } from './refusal.ts';

/** Encrypted tables by name. */
export type Tables = ReadonlyMap<string, EncryptedColumns>;

/** One of the tables that a query reads from or writes to. */
export interface Source {
  readonly alias: string | undefined;
  /** `undefined` for a table without encrypted columns, and for a subquery, which gives none away. */
  readonly columns: EncryptedColumns | undefined;
}

export function sourceOf(tables: Tables, node: Node): Source {
  if (node.kind === 'AliasNode') {
    const { columns } = sourceOf(tables, childOf(node, 'node') as Node);
    return { alias: nameOf(childOf(node, 'alias')), columns };
  }
  const name = nameOf(node);
  return { alias: name, columns: name === undefined ? undefined : tables.get(name) };
}

/** The tables that stand in a query itself, not in a part of it. */
export function scopeOf(tables: Tables, query: Node): readonly Source[] {
  const target = childOf(query, 'into') ?? childOf(query, 'table');
  const nodes = [
    ...(target?.kind === 'ListNode' ? listOf(target, 'items') : target === undefined ? [] : [target]),
    ...listOf(childOf(query, 'from'), 'froms'),
    ...listOf(childOf(query, 'using'), 'tables'),
    ...listOf(query, 'joins').flatMap((join) => childOf(join, 'table') ?? []),
  ];
  return nodes.map((node) => sourceOf(tables, node));
}

/** Everything that a statement calls a table by, at any depth; more than one table where a name is used twice. */
export class Names {
  readonly #byName = new Map<string, Set<EncryptedColumns | undefined>>();
  readonly mentioned: Set<EncryptedColumns> = new Set();
  readonly raws: string[] = [];

  constructor(tables: Tables, root: Node) {
    this.#collect(tables, root);
  }

  /** Whether a column, so qualified, could be an encrypted one. */
  encrypts(column: string, qualifier: string | undefined): boolean {
    const known = qualifier === undefined ? undefined : this.#byName.get(qualifier);
    for (const columns of known ?? this.mentioned) if (columns?.hasSpelling(column)) return true;
    return false;
  }

  /** Whether a name could be that of a table with encrypted columns. */
  hasEncrypted(qualifier: string): boolean {
    const known = this.#byName.get(qualifier);
    return known === undefined ? this.mentioned.size > 0 : [...known].some((columns) => columns !== undefined);
  }

  /** Everything that stands for a whole row of a table with encrypted columns. */
  get rows(): readonly string[] {
    return [...this.#byName.keys()].filter((name) => this.hasEncrypted(name));
  }

  #collect(tables: Tables, node: Node): void {
    if (node.kind === 'AliasNode' || node.kind === 'TableNode') this.#add(sourceOf(tables, node));
    if (node.kind === 'TableNode') this.#refuseSpelling(tables, node);
    if (node.kind === 'RawNode') this.raws.push((fieldOf(node, 'sqlFragments') as readonly string[]).join('?'));
    for (const child of childrenOf(node)) {
      // `sql.id()`: a part of the text, whatever it names.
      if (node.kind === 'RawNode') this.raws.push(nameOf(child) ?? '');
      // The table of a reference is the name that a source was given.
      if (node.kind === 'ReferenceNode' && child.kind === 'TableNode') continue;
      this.#collect(tables, child);
    }
  }

  /** Many databases take a table's name in any case: such a statement would go by unencrypted. */
  #refuseSpelling(tables: Tables, node: Node): void {
    const name = nameOf(node) ?? '';
    if (tables.has(name)) return;
    for (const [table, columns] of tables) {
      const [column] = columns.codecs.keys();
      if (sameSpelling(table, name)) throw refusal(columns, column ?? table, 'another spelling');
    }
  }

  #add({ alias, columns }: Source): void {
    if (columns !== undefined) this.mentioned.add(columns);
    if (alias === undefined) return;
    const known = this.#byName.get(alias) ?? new Set();
    this.#byName.set(alias, known.add(columns));
  }
}
