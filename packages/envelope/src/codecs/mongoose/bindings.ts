import { randomUUID } from 'node:crypto';
import type { ColumnCodec, ColumnPlace } from '../../columns/column-codec.ts';
import type { EncryptedColumns } from '../encrypted-columns.ts';
import { isOwn, refusal } from './checks.ts';

/** What is used of a document. */
export interface StoredDocument {
  get(path: string, type: null, options: { readonly getters: false }): unknown;
  set(path: string, value: unknown): unknown;
  isModified(path: string): boolean;
}

interface Bound {
  readonly stored: unknown;
  /** The id that it was bound to. */
  readonly id: unknown;
}

/**
 * Where the values of documents in memory are bound to. Mongoose runs setters while a document's `_id` is not the one it
 * will have: such a value is bound to an id of its own at first, and again as soon as the real one is known.
 */
export class Bindings {
  readonly #columns: EncryptedColumns;
  readonly #bound = new WeakMap<object, Map<string, Bound>>();
  readonly #failed = new WeakMap<object, Map<string, unknown>>();
  readonly #ids = new WeakMap<object, unknown>();

  constructor(columns: EncryptedColumns) {
    this.#columns = columns;
  }

  /** What a document is to hold of a value; what stood there before, if it cannot be encrypted. */
  encode(document: object, path: string, codec: ColumnCodec<unknown>, value: unknown, prior: unknown): unknown {
    const id = this.#idNow(document) ?? randomUUID();
    const failed = mapOf(this.#failed, document);
    try {
      if (isOwn(codec, value, this.#placeOf(id))) throw refusal(this.#columns, path, 'encrypted already');
      const stored = codec.encode(value, this.#placeOf(id));
      failed.delete(path);
      mapOf(this.#bound, document).set(path, { stored, id });
      return stored;
    } catch (error) {
      // Mongoose would put the value into an error of its own.
      failed.set(path, error);
      return prior;
    }
  }

  decode(document: object, path: string, codec: ColumnCodec<unknown>, stored: unknown): unknown {
    const bound = this.#bound.get(document)?.get(path);
    const id = bound !== undefined && bound.stored === stored ? bound.id : idOf(document);
    return codec.decode(fromBinary(stored), this.#placeOf(id));
  }

  /** Binds what was set so far to an id that a document is about to get. */
  rebind(document: object, id: unknown): void {
    this.#ids.set(document, id);
    for (const path of mapOf(this.#bound, document).keys()) this.#rebindPath(document as StoredDocument, path);
  }

  /** @throws what setting a path could not throw; ColumnError if a value is there that was never encrypted */
  check(document: StoredDocument): void {
    for (const error of mapOf(this.#failed, document).values()) throw error;
    for (const [path, codec] of this.#columns.codecs) {
      if (!document.isModified(path)) continue;
      this.#rebindPath(document, path);
      const stored = document.get(path, null, { getters: false });
      const { state } = codec.inspect(stored);
      if (state === 'encrypted') codec.decode(stored, this.#placeOf(idOf(document)));
      else if (state !== 'null' && codec.write !== 'plaintext') throw refusal(this.#columns, path, 'save');
    }
  }

  #rebindPath(document: StoredDocument, path: string): void {
    const bound = mapOf(this.#bound, document).get(path);
    const codec = this.#columns.codecs.get(path);
    const id = this.#idNow(document);
    if (bound === undefined || codec?.binds !== 'row' || id === undefined || id === bound.id) return;
    document.set(path, codec.decode(bound.stored, this.#placeOf(bound.id)));
  }

  #placeOf(id: unknown): ColumnPlace {
    return this.#columns.placeOf({ _id: id });
  }

  #idNow(document: object): unknown {
    return (this.#ids.has(document) ? keyText(this.#ids.get(document)) : idOf(document)) ?? undefined;
  }
}

/** The id of a document, or the one that a filter names. */
export function idOf(source: unknown): unknown {
  const { _id: id } = (source ?? {}) as { _id?: unknown };
  const { $eq: equal = id } = (typeof id === 'object' && id !== null ? id : {}) as { $eq?: unknown };
  return keyText(equal);
}

/** `toObject()` turns a Buffer into the driver's class before it runs getters. */
function fromBinary(stored: unknown): unknown {
  const { _bsontype: type, buffer, position } = (stored ?? {}) as { [field: string]: unknown };
  return type === 'Binary' ? (buffer as Uint8Array).subarray(0, Number(position)) : stored;
}

/** An ObjectId as its hex digits. */
function keyText(id: unknown): unknown {
  const { toHexString } = (typeof id === 'object' && id !== null ? id : {}) as { toHexString?: () => string };
  return typeof toHexString === 'function' ? toHexString.call(id) : id;
}

function mapOf<V>(maps: WeakMap<object, Map<string, V>>, key: object): Map<string, V> {
  const found = maps.get(key) ?? new Map<string, V>();
  maps.set(key, found);
  return found;
}
