import type { ColumnCodec } from '../columns/column-codec.ts';
import { EncryptedColumns, type EncryptedTable, type Row } from './encrypted-columns.ts';
import { Bindings, idOf, type StoredDocument } from './mongoose/bindings.ts';
import { checkFilter, checkSort, checkUpdate, refusal } from './mongoose/checks.ts';
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
  getOptions(): { readonly sort?: unknown };
  setUpdate(update: object): unknown;
  readonly op?: string;
  readonly model?: { readonly schema?: HookedSchema };
  readonly _distinct?: unknown;
}

type BulkOperations = readonly Readonly<Record<string, BulkOperation>>[];

interface BulkModel {
  readonly schema: HookedSchema;
}

interface BulkOptions {
  readonly _skipCastBulkWrite?: boolean;
}

interface BulkOperation {
  readonly filter?: unknown;
  readonly update?: unknown;
  readonly replacement?: unknown;
}

const UPDATES: readonly string[] = ['updateOne', 'updateMany', 'findOneAndUpdate', 'replaceOne', 'findOneAndReplace'];
const READS: readonly string[] = ['find', 'findOne', 'countDocuments', 'distinct'];
const DELETES: readonly string[] = ['deleteOne', 'deleteMany', 'findOneAndDelete'];
const REPLACEMENTS: ReadonlySet<string> = new Set(['replaceOne', 'findOneAndReplace']);
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
 * an update in `bulkWrite` where a codec binds the row, `insertMany` with `lean`, a sort by an encrypted path, and a value
 * that is stored in the same place already: what `toObject()` gives without getters. Not seen, and so not encrypted or
 * refused, are what goes to `Model.collection` and the stages of `aggregate()`; a schema of subdocuments must not have it.
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
    const setters = [...columns.codecs].map(([path, codec]) => encryptPath(hooked, path, codec, bindings));
    followId(hooked, bindings);
    const check = function (this: StoredDocument): void {
      bindings.check(this);
    };
    hooked.pre('validate', {}, check);
    hooked.pre('save', {}, check);
    hooked.pre([...UPDATES, ...READS, ...DELETES], OF_QUERIES, function (this: Query) {
      checkQuery(columns, this, setters);
    });
    hooked.pre('bulkWrite', {}, function (this: BulkModel, operations: BulkOperations, bulk?: BulkOptions) {
      const { _skipCastBulkWrite: saved } = bulk ?? {};
      for (const operation of operations.map((each) => Object.values(each)[0] ?? {})) {
        if (saved === true) checkSaved(columns, operation);
        else checkBulk(columns, operation, setters, this.schema);
      }
    });
    hooked.static('insertMany', checkedInsertMany(columns, hooked.statics.insertMany as InsertMany | undefined));
  };
  return Object.freeze(Object.assign(apply, { binds: columns.bindsRow ? ('row' as const) : ('column' as const) }));
}

function encryptPath(schema: HookedSchema, path: string, codec: ColumnCodec<unknown>, bindings: Bindings): unknown {
  const type = plainPath(schema, path);
  const setter = function (this: unknown, value: unknown, prior: unknown): unknown {
    if (isDocument(this)) return bindings.encode(this, path, codec, value, prior);
    return codec.encode(value, { key: keyIn(this) as never });
  };
  type.set(setter);
  type.get(function (this: unknown, stored: unknown) {
    return isDocument(this) ? bindings.decode(this, path, codec, stored) : codec.decode(stored);
  });
  return setter;
}

/** Hears of an `_id` as it is set. */
function followId(schema: HookedSchema, bindings: Bindings): void {
  const type = schema.path('_id');
  type?.set(function (this: unknown, id: unknown) {
    if (isDocument(this)) bindings.rebind(this, type.cast(id));
    return id;
  });
}

function checkQuery(columns: EncryptedColumns, query: Query, setters: readonly unknown[]): void {
  checkFilter(columns, query.getFilter());
  checkSort(columns, query.getOptions().sort);
  const { _distinct: path } = query;
  if (typeof path === 'string' && columns.codecs.has(path)) throw refusal(columns, path, 'distinct');
  const update = query.getUpdate();
  if (update === undefined || update === null) return;
  checkSetters(columns, query.model?.schema, setters);
  const known = keyIn(query);
  checkUpdate(columns, update, known);
  // Mongoose makes a document of a replacement, without the `_id` that its values are to be bound to.
  const replaces = REPLACEMENTS.has(query.op ?? '') && columns.bindsRow && columns.touches(update as Row);
  if (replaces) query.setUpdate({ ...(update as Row), ...known });
}

/** A discriminator, or a later `add()`, may have put another path in the place of one that encrypts. */
function checkSetters(columns: EncryptedColumns, schema: HookedSchema | undefined, setters: readonly unknown[]): void {
  for (const path of columns.codecs.keys()) {
    const found = schema?.path(path)?.setters ?? [];
    if (!found.some((setter) => setters.includes(setter))) throw refusal(columns, path, 'another path of its name');
  }
}

/** Mongoose runs the setters of a bulk write without a query, so that the key of a row is not known to them. */
function checkBulk(
  columns: EncryptedColumns,
  { filter, update, replacement }: BulkOperation,
  setters: readonly unknown[],
  schema: HookedSchema,
): void {
  checkFilter(columns, filter);
  if (update !== undefined || replacement !== undefined) checkSetters(columns, schema, setters);
  for (const change of [update, replacement]) if (change !== undefined) checkUpdate(columns, change, {});
}

/** What `bulkSave` makes of documents is encrypted already, and passes no setter again. */
function checkSaved(columns: EncryptedColumns, { filter, update }: BulkOperation): void {
  const { $set: changes = {} } = (update ?? {}) as { readonly $set?: Row };
  for (const [path, codec] of columns.codecs) {
    const { state } = codec.inspect(changes[path]);
    if (state === 'null' || codec.write === 'plaintext') continue;
    if (state !== 'encrypted') throw refusal(columns, path, 'save');
    codec.decode(changes[path], columns.placeOf({ _id: idOf(filter) }));
  }
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
  const { getFilter, model } = (query ?? {}) as Partial<Query>;
  if (typeof getFilter !== 'function') return {};
  return { _id: idAs(model?.schema, idOf(getFilter.call(query))) };
}

/** An id as it will be stored: text in a filter may not have been cast yet. */
function idAs(schema: HookedSchema | undefined, id: unknown): unknown {
  if (typeof id !== 'string') return id;
  try {
    return idOf({ _id: schema?.path('_id')?.cast(id) ?? id });
  } catch {
    // Mongoose will refuse it, in its own words.
    return id;
  }
}

/** Setters run on documents, on queries and on nothing. */
function isDocument(self: unknown): self is StoredDocument & object {
  return (
    typeof self === 'object' && self !== null && typeof (self as Partial<StoredDocument>).isModified === 'function'
  );
}
