/** A node of Kysely's operation tree, as far as this adapter looks into it. */
export interface Node {
  readonly kind: string;
}

type Fields = Readonly<Record<string, unknown>>;

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Node>).kind === 'string';
}

/** A field that holds one node, if it does. */
export function childOf(node: Node | undefined, field: string): Node | undefined {
  const value = (node as Fields | undefined)?.[field];
  return isNode(value) ? value : undefined;
}

/** A field that holds nodes. */
export function listOf(node: Node | undefined, field: string): readonly Node[] {
  const value = (node as Fields | undefined)?.[field];
  return Array.isArray(value) ? value.filter(isNode) : [];
}

export function fieldOf(node: Node, field: string): unknown {
  return (node as unknown as Fields)[field];
}

/** All nodes directly below. What stands in a value is data, whatever it looks like. */
export function childrenOf(node: Node): readonly Node[] {
  if (node.kind === 'ValueNode' || node.kind === 'PrimitiveValueListNode') return [];
  return Object.values(node).flatMap((value: unknown) => (Array.isArray(value) ? value : [value]).filter(isNode));
}

/** Name of a table, a column or an alias. */
export function nameOf(node: Node | undefined): string | undefined {
  if (node === undefined) return undefined;
  if (node.kind === 'IdentifierNode') return String(fieldOf(node, 'name'));
  if (node.kind === 'ColumnNode') return nameOf(childOf(node, 'column'));
  if (node.kind === 'TableNode') return nameOf(childOf(childOf(node, 'table'), 'identifier'));
  return undefined;
}

/** The name that a reference qualifies its column with. */
export function qualifierOf(reference: Node): string | undefined {
  return reference.kind === 'ReferenceNode' ? nameOf(childOf(reference, 'table')) : undefined;
}

/** The column of a reference, with or without a table; `undefined` for anything else. */
export function columnOf(node: Node | undefined): Node | undefined {
  const column = node?.kind === 'ReferenceNode' ? childOf(node, 'column') : node;
  return column?.kind === 'ColumnNode' ? column : undefined;
}
