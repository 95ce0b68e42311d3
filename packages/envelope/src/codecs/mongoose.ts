import type { ColumnCodec } from '../columns/column-codec.ts';
import { EncryptedColumns, type EncryptedTable, type Row } from './encrypted-columns.ts';
import { Bindings, idOf, type StoredDocument } from './mongoose/bindings.ts';
import { checkFilter, checkUpdate, refusal } from './mongoose/checks.ts';
import { type HookedSchema, plainPath } from './mongoose/schema.ts';

export interface MongooseEncryptionOptions {
  /** Codecs by top-level path. A codec that binds the row binds `_id`, an ObjectId as its 24 hex digits. */
  readonly columns: EncryptedTable['columns'];
}

/** What is used of a schema: Mongoose's `Schema` fits. */
export interface SchemaLike {
  readonly path: unknown;
  readonly pre: unknown;
  readonly static: unknown;
}

/** What is used of a query. */
interface Query {
  getFilter(): unknown;
  getUpdate(): unknown;
  readonly _distinct?: unknown;
}

interface BulkOperation {
  readonly filter?: unknown;
  readonly update?: unknown;
  readonly replacement?: unknown;
}

const UPDATES: readonly string[] = ['updateOne', 'updateMany', 'findOneAndUpdate', 'replaceOne', 'findOneAndReplace'];
const READS: readonly string[] = ['find', 'findOne', 'countDocuments', 'distinct'];
const DELETES: readonly string[] = ['deleteOne', 'deleteMany', 'findOneAndDelete'];
/** Hooks of queries, not of the documents' methods of the same names. */
const OF_QUERIES: object = Object.freeze({ query: true, document: false });
const KEY: readonly string[] = Object.freeze(['_id']);

/**
 * A plugin for a Mongoose schema whose top-level paths are encrypted when they are set and decrypted when they are got. A
 * document holds ciphertext, so every way to save it writes ciphertext; `lean()`, `aggregate()` and `toObject()` without
 * getters show what is stored. A path is declared as what is stored: `String` for text, `Mixed` for JSON, `Buffer` for
 * bytes. Values are bound to what their codecs bind; with the row, an update query needs the key in its filter.
 *
 * A value from a getter is a new one each time: change it and set it again. A value that cannot be encrypted leaves the
 * path as it was, and `validate()` and `save()` reject.
 *
 * Refused: a filter on an encrypted path other than for null, an update other than by `$set`, `$setOnInsert` and `$unset`,
 * an update in `bulkWrite` where a codec binds the row, `insertMany` with `lean`.
 *
 * @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT` when it is applied, also for a path with a default, or with getters,
 * setters or validators of its own, which would see ciphertext
 *
 * @example
 * ```ts
 * import { keyringFromEnv } from '@keywright/envelope';
 * import { mongooseEncryption } from '@keywright/envelope/codecs/mongoose';
 * import { columnCodec } from '@keywright/envelope/columns';
 * import { Schema } from 'mongoose';
 *
 * const codec = columnCodec({ keyring: keyringFromEnv(), table: 'connections', column: 'credentials', storage: 'json' });
 * export const connectionSchema = new Schema({ name: String, credentials: Schema.Types.Mixed });
 * connectionSchema.plugin(mongooseEncryption({ columns: { credentials: codec } }));
 * ```
 */
export function mongooseEncryption(
  options: MongooseEncryptionOptions,
): ((schema: SchemaLike) => void) & { readonly binds: 'row' | 'column' } {
  const columns = new EncryptedColumns({ columns: options?.columns, key: KEY });
  const apply = (schema: SchemaLike): void => {
    const hooked = schema as unknown as HookedSchema;
    const bindings = new Bindings(columns);
    for (const [path, codec] of columns.codecs) encryptPath(hooked, path, codec, bindings);
    followId(hooked, bindings);
    const check = function (this: StoredDocument): void {
      bindings.check(this);
    };
    hooked.pre('validate', {}, check);
    hooked.pre('save', {}, check);
    hooked.pre([...UPDATES, ...READS, ...DELETES], OF_QUERIES, function (this: Query) {
      checkQuery(columns, this);
    });
    hooked.pre('bulkWrite', {}, (operations: readonly Readonly<Record<string, BulkOperation>>[]) => {
      for (const operation of operations) checkBulk(columns, Object.values(operation)[0] ?? {});
    });
    hooked.static('insertMany', checkedInsertMany(columns, hooked.statics.insertMany as InsertMany | undefined));
  };
  return Object.freeze(Object.assign(apply, { binds: columns.bindsRow ? ('row' as const) : ('column' as const) }));
}

function encryptPath(schema: HookedSchema, path: string, codec: ColumnCodec<unknown>, bindings: Bindings): void {
  const type = plainPath(schema, path);
  type.set(function (this: unknown, value: unknown, prior: unknown) {
    if (isDocument(this)) return bindings.encode(this, path, codec, value, prior);
    return codec.encode(value, { key: keyIn(this) as never });
  });
  type.get(function (this: unknown, stored: unknown) {
    return isDocument(this) ? bindings.decode(this, path, codec, stored) : codec.decode(stored);
  });
}

/** Hears of an `_id` as it is set. */
function followId(schema: HookedSchema, bindings: Bindings): void {
  const type = schema.path('_id');
  type?.set(function (this: unknown, id: unknown) {
    if (isDocument(this)) bindings.rebind(this, type.cast(id));
    return id;
  });
}

function checkQuery(columns: EncryptedColumns, query: Query): void {
  checkFilter(columns, query.getFilter());
  const { _distinct: path } = query;
  if (typeof path === 'string' && columns.codecs.has(path)) throw refusal(columns, path, 'distinct');
  const update = query.getUpdate();
  if (update !== undefined && update !== null) checkUpdate(columns, update, keyIn(query));
}

/** Mongoose runs the setters of a bulk write without a query, so that the key of a row is not known to them. */
function checkBulk(columns: EncryptedColumns, { filter, update, replacement }: BulkOperation): void {
  checkFilter(columns, filter);
  for (const change of [update, replacement]) if (change !== undefined) checkUpdate(columns, change, {});
}

type InsertMany = (this: object, documents: unknown, options?: { readonly lean?: unknown }) => Promise<unknown>;

/** With `lean` no documents are made, so no setter runs; a hook is not told of it. */
function checkedInsertMany(columns: EncryptedColumns, inner: InsertMany | undefined): InsertMany {
  return async function insertMany(documents, options) {
    for (const document of options?.lean ? [documents].flat() : []) {
      const path = [...columns.codecs.keys()].find((name) => (document as Row | undefined)?.[name] !== undefined);
      if (path !== undefined) throw refusal(columns, path, 'lean');
    }
    let model = this as { insertMany: InsertMany };
    while (model.insertMany === insertMany) model = Object.getPrototypeOf(model) as typeof model;
    return await (inner ?? model.insertMany).call(this, documents, options);
  };
}

function keyIn(query: unknown): Row {
  const { getFilter } = (query ?? {}) as Partial<Query>;
  return typeof getFilter === 'function' ? { _id: idOf(getFilter.call(query)) } : {};
}

/** Setters run on documents, on queries and on nothing. */
function isDocument(self: unknown): self is StoredDocument & object {
  return (
    typeof self === 'object' && self !== null && typeof (self as Partial<StoredDocument>).isModified === 'function'
  );
}
