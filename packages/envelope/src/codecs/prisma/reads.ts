import { ColumnError } from '../../columns/errors.ts';
import { eachOf, type Fields, isFields, isNullOfPrisma, type ModelInfo, type Models, targetOf } from './models.ts';
import { refusal } from './refusal.ts';

const LISTS: ReadonlySet<string> = new Set(['AND', 'OR', 'NOT']);
const RELATION_FILTERS: ReadonlySet<string> = new Set(['is', 'isNot', 'some', 'every', 'none']);
const AGGREGATES: readonly string[] = ['_min', '_max', '_sum', '_avg'];

/**
 * Refuses arguments that compare, sort or group by encrypted fields, at any depth, and those that would give an
 * encrypted field without the key of its row.
 *
 * @throws ColumnError `ERR_COLUMN_STATEMENT_REFUSED`, `ERR_COLUMN_ROW_KEY_MISSING`
 */
export function checkArguments(models: Models, model: ModelInfo, args: Fields): void {
  for (const filter of ['where', 'having', 'cursor']) {
    for (const each of eachOf(args[filter])) checkFilter(models, model, each);
  }
  for (const order of eachOf(args.orderBy)) checkOrder(models, model, order);
  for (const list of [args.by, args.distinct]) {
    for (const field of Array.isArray(list) ? list : [list]) {
      if (model.columns?.codecs.has(String(field))) throw refusal(model, String(field), 'by');
    }
  }
  for (const aggregate of AGGREGATES) {
    for (const field of Object.keys(isFields(args[aggregate]) ? args[aggregate] : {})) {
      if (model.columns?.codecs.has(field)) throw refusal(model, field, aggregate);
    }
  }
  checkSelection(models, model, args);
}

export function checkFilter(models: Models, model: ModelInfo, filter: Fields): void {
  for (const [field, value] of Object.entries(filter)) {
    if (LISTS.has(field)) for (const each of eachOf(value)) checkFilter(models, model, each);
    const target = targetOf(models, model, field);
    if (target !== undefined) checkRelationFilter(models, target, value);
    else if (model.columns?.codecs.has(field) && !isNullCheck(value)) throw refusal(model, field, 'where');
    else if (isCompound(model, field) && isFields(value)) checkFilter(models, model, value);
  }
}

/** Whether a name in a `where` is that of a key of several fields. */
export function isCompound(model: ModelInfo, name: string): boolean {
  return !LISTS.has(name) && !model.fields.has(name);
}

function checkRelationFilter(models: Models, target: ModelInfo, value: unknown): void {
  if (!isFields(value)) return;
  for (const [name, filter] of Object.entries(value)) {
    if (RELATION_FILTERS.has(name)) for (const each of eachOf(filter)) checkFilter(models, target, each);
  }
  checkFilter(models, target, value);
}

function checkOrder(models: Models, model: ModelInfo, order: Fields): void {
  for (const [field, value] of Object.entries(order)) {
    if (model.columns?.codecs.has(field)) throw refusal(model, field, 'orderBy');
    if (AGGREGATES.includes(field)) for (const each of eachOf(value)) checkOrder(models, model, each);
    if (field === '_relevance') for (const each of eachOf(value)) checkRelevance(model, each);
    const target = targetOf(models, model, field);
    if (target !== undefined) for (const each of eachOf(value)) checkOrder(models, target, each);
  }
}

function checkRelevance(model: ModelInfo, { fields }: Fields): void {
  for (const field of Array.isArray(fields) ? fields : [fields]) {
    if (model.columns?.codecs.has(String(field))) throw refusal(model, String(field), 'orderBy');
  }
}

function checkSelection(models: Models, model: ModelInfo, args: Fields): void {
  const { select, omit, include } = args as { select?: Fields; omit?: Fields; include?: Fields };
  const given = (field: string): boolean => (isFields(select) ? select[field] === true : omit?.[field] !== true);
  for (const [field, codec] of model.columns?.codecs ?? []) {
    const missing = model.columns?.key.find((name) => !given(name));
    if (codec.binds === 'column' || missing === undefined || !given(field)) continue;
    const context = { table: codec.table, field: codec.column, expected: missing };
    throw new ColumnError('ERR_COLUMN_ROW_KEY_MISSING', { context });
  }
  for (const [field, nested] of [...Object.entries(select ?? {}), ...Object.entries(include ?? {})]) {
    if (!isFields(nested)) continue;
    if (field === '_count') checkCounts(models, model, nested);
    const target = targetOf(models, model, field);
    if (target !== undefined) checkArguments(models, target, nested);
  }
}

function checkCounts(models: Models, model: ModelInfo, count: Fields): void {
  for (const [field, nested] of Object.entries(isFields(count.select) ? count.select : {})) {
    const target = targetOf(models, model, field);
    const where = isFields(nested) ? nested.where : undefined;
    if (target !== undefined && isFields(where)) checkFilter(models, target, where);
  }
}

/** `null`, `{ equals: null }` and `{ not: null }`: null is stored as null. */
function isNullCheck(value: unknown): boolean {
  if (value === null || value === undefined) return true;
  return (
    isFields(value) &&
    Object.entries(value).every(
      ([name, other]) => ['equals', 'not'].includes(name) && (other === null || isNullOfPrisma(other)),
    )
  );
}

/** A copy of what a query gave, rows of other models inside included, with its encrypted fields decoded. */
export function decodeRows(models: Models, model: ModelInfo, given: unknown): unknown {
  if (Array.isArray(given)) return given.map((each) => decodeRows(models, model, each));
  if (!isFields(given)) return given;
  const row: Record<string, unknown> = model.columns === undefined ? { ...given } : model.columns.decode(given);
  for (const [field, value] of Object.entries(given)) {
    const target = targetOf(models, model, field);
    if (target !== undefined) row[field] = decodeRows(models, target, value);
  }
  return row;
}

/**
 * The model that a result is of. After `findUnique(…).notes()` it is that of `notes`: the query is one for its parent
 * that selects nothing else, and the result is the child.
 */
export function modelOfResult(models: Models, model: ModelInfo, args: Fields, given: unknown): ModelInfo {
  const selected = isFields(args.select) ? Object.entries(args.select) : [];
  const [field, nested] = selected[0] ?? ['', undefined];
  const target = selected.length === 1 ? targetOf(models, model, field) : undefined;
  if (target === undefined || given === null || (isFields(given) && Object.hasOwn(given, field))) return model;
  return modelOfResult(models, target, isFields(nested) ? nested : {}, given);
}
