import type { EncryptedColumns, Row } from '../encrypted-columns.ts';
import { childOf, columnOf, fieldOf, listOf, type Node, nameOf, qualifierOf } from './node.ts';
import { refusal } from './refusal.ts';
import type { Source } from './scope.ts';

type Understood = (node: Node) => void;

/** An insert into an encrypted table, with its values encoded. */
export function encodeInsert(node: Node, columns: EncryptedColumns, understood: Understood): Node {
  const names = listOf(node, 'columns').map((column) => nameOf(column) ?? '');
  columns.refuseSpellings(names);
  for (const column of listOf(node, 'columns')) understood(column);
  const encrypted = names.find((name) => columns.codecs.has(name));
  const values = childOf(node, 'values');
  if (values === undefined) return node;
  if (names.length === 0) throw refusal(columns, [...columns.codecs.keys()][0] as string, 'insert without columns');
  const conflict = encodeConflict(node, columns, names, understood);
  if (encrypted === undefined) return conflict;
  if (values.kind !== 'ValuesNode') throw refusal(columns, encrypted, values.kind);
  const rows = listOf(values, 'values').map((item) => encodeItem(item, columns, names));
  return { ...conflict, values: { ...values, values: rows } } as Node;
}

/** An update of an encrypted table, with its values encoded for the row that the condition names. */
export function encodeUpdate(node: Node, source: Source, alone: boolean, understood: Understood): Node {
  const columns = source.columns as EncryptedColumns;
  const known = equalities(childOf(childOf(node, 'where'), 'where'), source, alone);
  return { ...node, updates: encodeUpdates(listOf(node, 'updates'), columns, known, understood, source.alias) } as Node;
}

function encodeItem(item: Node, columns: EncryptedColumns, names: readonly string[]): Node {
  const values = fieldOf(item, 'values') as readonly unknown[];
  const plain = item.kind === 'PrimitiveValueListNode';
  const row: Record<string, unknown> = {};
  names.forEach((name, index) => {
    row[name] = plain ? values[index] : plainValue(values[index] as Node, columns, name);
  });
  const encoded = columns.encode(row);
  const put = (value: unknown, name: string): unknown => {
    if (!columns.codecs.has(name) || row[name] === undefined) return value;
    return plain ? encoded[name] : { ...(value as Node), value: encoded[name] };
  };
  return { ...item, values: values.map((value, index) => put(value, names[index] as string)) } as Node;
}

/** `ON CONFLICT … DO UPDATE`: it changes a row that may not be the one that was to be inserted. */
function encodeConflict(node: Node, columns: EncryptedColumns, names: readonly string[], understood: Understood): Node {
  const duplicate = childOf(node, 'onDuplicateKey');
  if (duplicate !== undefined) {
    const updates = encodeUpdates(listOf(duplicate, 'updates'), columns, {}, understood);
    return { ...node, onDuplicateKey: { ...duplicate, updates } } as Node;
  }
  const conflict = childOf(node, 'onConflict');
  if (conflict === undefined) return node;
  const target = listOf(conflict, 'columns').map(nameOf);
  const sameRow = target.length === columns.key.length && columns.key.every((column) => target.includes(column));
  const rows = listOf(childOf(node, 'values'), 'values');
  // Of several rows, the one in conflict is not known here.
  const known = sameRow && rows.length === 1 ? plainRow(rows[0] as Node, names) : {};
  const all = listOf(conflict, 'updates');
  const encoded = encodeUpdates(
    all.filter((update) => !takesExcluded(update, columns, sameRow, understood)),
    columns,
    known,
    understood,
  );
  const rest = [...encoded];
  const updates = all.map((update) =>
    takesExcluded(update, columns, sameRow, understood) ? update : (rest.shift() as Node),
  );
  return { ...node, onConflict: { ...conflict, ...(all.length > 0 && { updates }) } } as Node;
}

/** `column = excluded.column`: what would have been inserted, which is encrypted already, for its own key. */
function takesExcluded(update: Node, columns: EncryptedColumns, sameRow: boolean, understood: Understood): boolean {
  const column = columnOf(childOf(update, 'column'));
  const value = childOf(update, 'value');
  const name = nameOf(column) ?? '';
  const codec = columns.codecs.get(name);
  if (column === undefined || value === undefined || codec === undefined) return false;
  if (qualifierOf(value) !== 'excluded' || nameOf(columnOf(value)) !== name) return false;
  if (codec.binds === 'row' && !sameRow) return false;
  understood(column);
  understood(columnOf(value) as Node);
  return true;
}

function encodeUpdates(
  updates: readonly Node[],
  columns: EncryptedColumns,
  known: Row,
  understood: Understood,
  alias?: string,
): readonly Node[] {
  const row: Record<string, unknown> = {};
  // Also where only the database knows to what.
  const moves: Record<string, unknown> = {};
  const ours = (update: Node): Node | undefined => {
    const reference = childOf(update, 'column') as Node;
    const qualifier = qualifierOf(reference);
    return qualifier === undefined || qualifier === alias ? columnOf(reference) : undefined;
  };
  for (const update of updates) {
    const column = ours(update);
    const name = nameOf(column);
    if (name === undefined || column === undefined) continue;
    if (columns.codecs.has(name)) understood(column);
    row[name] = plainValue(childOf(update, 'value') as Node, columns, name);
    moves[name] = true;
  }
  columns.refuseMoves(moves);
  const encoded = columns.encode(row, known);
  return updates.map((update) => {
    const name = nameOf(ours(update)) ?? '';
    if (!columns.codecs.has(name) || row[name] === undefined) return update;
    return { ...update, value: { ...childOf(update, 'value'), value: encoded[name] } } as Node;
  });
}

/** The value of a node; `undefined` for a default, and for what only the database knows where that is not encrypted. */
function plainValue(node: Node, columns: EncryptedColumns, name: string): unknown {
  if (node.kind === 'ValueNode') return fieldOf(node, 'value');
  if (node.kind !== 'DefaultInsertValueNode' && columns.codecs.has(name)) throw refusal(columns, name, node.kind);
  return undefined;
}

function plainRow(item: Node, names: readonly string[]): Row {
  const values = fieldOf(item, 'values') as readonly unknown[];
  const plain = item.kind === 'PrimitiveValueListNode';
  const read = (value: unknown): unknown =>
    plain ? value : (value as Node).kind === 'ValueNode' ? fieldOf(value as Node, 'value') : undefined;
  return Object.fromEntries(names.map((name, index) => [name, read(values[index])]));
}

/** What a condition demands of the columns of a table: `column = value`, joined by nothing but AND. */
function equalities(condition: Node | undefined, source: Source, alone: boolean): Row {
  if (condition === undefined) return {};
  if (condition.kind === 'ParensNode') return equalities(childOf(condition, 'node'), source, alone);
  if (condition.kind === 'AndNode') {
    const [left, right] = [childOf(condition, 'left'), childOf(condition, 'right')];
    return { ...equalities(left, source, alone), ...equalities(right, source, alone) };
  }
  const [left, right] = [childOf(condition, 'leftOperand'), childOf(condition, 'rightOperand')];
  const operator = childOf(condition, 'operator');
  if (condition.kind !== 'BinaryOperationNode' || left === undefined || right?.kind !== 'ValueNode') return {};
  if (operator?.kind !== 'OperatorNode' || fieldOf(operator, 'operator') !== '=') return {};
  const name = nameOf(columnOf(left));
  const qualifier = qualifierOf(left);
  if (name === undefined || (qualifier === undefined ? !alone : qualifier !== source.alias)) return {};
  return { [name]: fieldOf(right, 'value') };
}
