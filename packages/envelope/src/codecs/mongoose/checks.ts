import type { ColumnCodec, ColumnPlace } from '../../columns/column-codec.ts';
import { ColumnError } from '../../columns/errors.ts';
import type { EncryptedColumns, Row } from '../encrypted-columns.ts';

type Fields = Readonly<Record<string, unknown>>;

const LISTS: ReadonlySet<string> = new Set(['$and', '$or', '$nor']);
const SETS: ReadonlySet<string> = new Set(['$set', '$setOnInsert']);
/** Stages that put whole documents in the place of others. */
const REPLACES = ['$replaceRoot', '$replaceWith'] as const;

/** @throws ColumnError `ERR_COLUMN_STATEMENT_REFUSED` for a condition on an encrypted path other than for null */
export function checkFilter(columns: EncryptedColumns, filter: unknown): void {
  for (const [name, value] of entriesOf(filter)) {
    if (LISTS.has(name) && Array.isArray(value)) for (const each of value) checkFilter(columns, each);
    if (name === '$expr' || name === '$where' || name === '$text') checkText(columns, value, name);
    const path = pathOf(columns, name);
    if (path !== undefined && (path !== name || !isNullCheck(value))) throw refusal(columns, path, 'filter');
  }
}

/**
 * Tries what the setters will do once Mongoose casts the update: what goes wrong there it reports with the value.
 *
 * @throws ColumnError `ERR_COLUMN_STATEMENT_REFUSED`, and what `ColumnCodec.encode` throws
 */
export function checkUpdate(columns: EncryptedColumns, update: unknown, known: Row): void {
  if (Array.isArray(update)) checkPipeline(columns, update);
  for (const [operator, value] of Array.isArray(update) ? [] : entriesOf(update)) {
    if (!operator.startsWith('$')) checkSet(columns, operator, value, known);
    else if (SETS.has(operator)) for (const [name, each] of entriesOf(value)) checkSet(columns, name, each, known);
    else if (operator !== '$unset') checkOther(columns, operator, value);
  }
}

/** Refuses a sort by an encrypted path, which would be by its ciphertexts. */
export function checkSort(columns: EncryptedColumns, sort: unknown): void {
  const names = sort instanceof Map ? [...sort.keys()] : entriesOf(sort).map(([name]) => name);
  for (const name of names) {
    const path = pathOf(columns, String(name));
    if (path !== undefined) throw refusal(columns, path, 'sort');
  }
}

function checkPipeline(columns: EncryptedColumns, stages: readonly unknown[]): void {
  checkText(columns, stages, 'pipeline');
  const [path] = columns.codecs.keys();
  const replaces = stages.some((stage) => entriesOf(stage).some(([name]) => REPLACES.includes(name as never)));
  if (replaces) throw refusal(columns, path ?? '', 'pipeline');
}

function checkSet(columns: EncryptedColumns, name: string, value: unknown, known: Row): void {
  const path = pathOf(columns, name);
  if (path === undefined) return;
  if (path !== name) throw refusal(columns, path, 'a part of a value');
  if (isOwn(columns.codecs.get(path), value, columns.placeOf(known))) throw refusal(columns, path, 'encrypted already');
  columns.encode({ [path]: value }, known);
}

/** Whether a value is what is stored in this very place, as `toObject()` gives it. Encrypted again, it would be read as it. */
export function isOwn(codec: ColumnCodec<unknown> | undefined, value: unknown, place: ColumnPlace): boolean {
  if (codec === undefined || (typeof value !== 'string' && typeof value !== 'object')) return false;
  const form = codec.inspect(value);
  if (form.state !== 'encrypted' || form.version === 1) return false;
  try {
    codec.decode(value, place);
    return true;
  } catch {
    return false;
  }
}

function checkOther(columns: EncryptedColumns, operator: string, value: unknown): void {
  for (const [name, target] of entriesOf(value)) {
    const path = pathOf(columns, name) ?? (typeof target === 'string' ? pathOf(columns, target) : undefined);
    if (path !== undefined) throw refusal(columns, path, operator);
  }
}

/** Expressions are not followed. Where one names an encrypted path, it could do anything. */
function checkText(columns: EncryptedColumns, expression: unknown, operation: string): void {
  const text = String(typeof expression === 'function' ? expression : JSON.stringify(expression));
  for (const path of columns.codecs.keys()) if (text.includes(path)) throw refusal(columns, path, operation);
}

/** The encrypted path that a name is, or leads into. */
function pathOf(columns: EncryptedColumns, name: string): string | undefined {
  const [path] = name.split('.', 1);
  return path !== undefined && columns.codecs.has(path) ? path : undefined;
}

/** null, `$eq` and `$ne` of it, and `$exists`: null is stored as null. */
function isNullCheck(value: unknown): boolean {
  if (value === null) return true;
  const conditions = entriesOf(value);
  if (conditions.length === 0) return false;
  return conditions.every(([name, other]) => name === '$exists' || (['$eq', '$ne'].includes(name) && other === null));
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null ? Object.entries(value as Fields) : [];
}

export function refusal(columns: EncryptedColumns, path: string, operation: string): ColumnError {
  const { table = '', column = path } = columns.codecs.get(path) ?? {};
  return new ColumnError('ERR_COLUMN_STATEMENT_REFUSED', { context: { table, field: column, operation } });
}
