import type { ColumnCodec } from '../../columns/column-codec.ts';
import { eachOf, type Fields, isFields, isNullOfPrisma, type ModelInfo, type Models, targetOf } from './models.ts';
import { checkFilter, isCompound } from './reads.ts';
import { refusal } from './refusal.ts';

/** What a `where` says of the key of a row: `{ id }`, `{ id: { equals } }`, `{ a_b: { a, b } }`. */
export function keyIn(model: ModelInfo, where: unknown): Fields {
  const known: Record<string, unknown> = {};
  if (model.columns === undefined || !isFields(where)) return known;
  // Not `NOT` and its like, which say what a row is not, or may be.
  const compound = Object.entries(where).filter(([name, value]) => isCompound(model, name) && isFields(value));
  const tenant = model.columns.tenant === undefined ? [] : [model.columns.tenant];
  for (const field of [...model.columns.key, ...tenant]) {
    for (const source of [where, ...compound.map(([, value]) => value as Fields)]) {
      const value = source[field];
      const plain = isFields(value) && Object.keys(value).length === 1 ? value.equals : value;
      if (plain !== undefined && !isFields(plain)) known[field] = plain;
    }
  }
  return known;
}

/** The data of a new row, and of the rows that are written with it. */
export function encodeCreate(models: Models, model: ModelInfo, data: unknown): unknown {
  if (Array.isArray(data)) return data.map((each) => encodeCreate(models, model, each));
  return isFields(data) ? encodeData(models, model, data, {}) : data;
}

/** The changes of the row that `known` is the key of, and of the rows that are written with it. */
export function encodeUpdate(models: Models, model: ModelInfo, data: unknown, known: Fields): unknown {
  if (!isFields(data)) return data;
  model.columns?.refuseMoves(data);
  return encodeData(models, model, data, known);
}

function encodeData(models: Models, model: ModelInfo, data: Fields, known: Fields): Fields {
  const row: Record<string, unknown> = {};
  const nulls: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(data)) {
    const codec = model.columns?.codecs.get(field);
    const target = targetOf(models, model, field);
    if (target !== undefined && isFields(value)) row[field] = encodeNested(models, target, value);
    else if (codec !== undefined && isSkip(value)) continue;
    else if (codec !== undefined && isNullOfPrisma(value)) nulls[field] = value;
    else row[field] = codec === undefined ? value : unset(model, field, codec, value);
  }
  return { ...(model.columns?.encode(row, known) ?? row), ...nulls };
}

/** `{ set: value }` of a field that holds text or bytes; in JSON that is a value like any other. */
function unset(model: ModelInfo, field: string, codec: ColumnCodec<unknown>, value: unknown): unknown {
  if (codec.payload === 'json' || !isFields(value)) return value;
  if (Object.keys(value).length === 1 && Object.hasOwn(value, 'set')) return value.set;
  throw refusal(model, field, 'update');
}

/** `Prisma.skip`, an object that says that there is no value. */
function isSkip(value: unknown): boolean {
  return isFields(value) && Object.keys(value).length === 0 && typeof value.ifUndefined === 'function';
}

function encodeNested(models: Models, model: ModelInfo, operations: Fields): Fields {
  return Object.fromEntries(
    Object.entries(operations).map(([operation, given]) => [
      operation,
      encodeOperation(models, model, operation, given),
    ]),
  );
}

function encodeOperation(models: Models, model: ModelInfo, operation: string, given: unknown): unknown {
  const each = (work: (one: Fields) => unknown): unknown =>
    Array.isArray(given)
      ? given.map((one) => (isFields(one) ? work(one) : one))
      : isFields(given)
        ? work(given)
        : given;
  switch (operation) {
    case 'create':
      return encodeCreate(models, model, given);
    case 'createMany':
      return each((one) => ({ ...one, data: encodeCreate(models, model, one.data) }));
    case 'connectOrCreate':
      return each((one) => encodeWhole(models, model, one));
    case 'upsert':
      return each((one) => encodeWhole(models, model, one));
    case 'update':
    case 'updateMany':
      return each((one) =>
        isWrapped(model, one) ? encodeWhole(models, model, one) : encodeUpdate(models, model, one, {}),
      );
    default:
      for (const filter of eachOf(given)) checkFilter(models, model, filter);
      return given;
  }
}

/** An operation with `where` beside `data`, or beside `create` and `update`. */
export function encodeWhole(models: Models, model: ModelInfo, args: Fields): Fields {
  const { where, data, create, update } = args;
  if (isFields(where)) checkFilter(models, model, where);
  const known = keyIn(model, where);
  return {
    ...args,
    ...(data !== undefined && { data: encodeUpdate(models, model, data, known) }),
    ...(create !== undefined && { create: encodeCreate(models, model, create) }),
    ...(update !== undefined && { update: encodeUpdate(models, model, update, known) }),
  };
}

/** A related row that there is only one of is updated by its data alone, or by what has it in `data`. */
function isWrapped(model: ModelInfo, given: Fields): boolean {
  if (!isFields(given.data)) return false;
  if (isFields(given.where) || !model.fields.has('data')) return true;
  // Of a field named `data`, or of all fields: Prisma's answer is not ours to guess.
  if (model.columns !== undefined) throw refusal(model, 'data', 'update');
  return false;
}
