import { ColumnError } from '../columns/errors.ts';
import { EncryptedColumns, type EncryptedTable, type Row, refuseExpression } from './encrypted-columns.ts';

export type { EncryptedTable } from './encrypted-columns.ts';

/** What is used of a model: subclasses of Objection's `Model` fit. */
export interface ObjectionModel {
  $formatDatabaseJson(json: Record<string, unknown>): Record<string, unknown>;
  $parseDatabaseJson(json: Record<string, unknown>): Record<string, unknown>;
  $toDatabaseJson(builder?: never): Record<string, unknown>;
  $beforeUpdate(options: never, context: never): unknown;
}

/** A class of models, as a mixin takes it. */
export interface ObjectionModelClass {
  new (): ObjectionModel;
}

interface UpdateOptions {
  readonly old?: ObjectionModel | undefined;
}

/**
 * An Objection model whose columns are encrypted when it goes to the database and decrypted when it comes from there.
 * Names are those of the database, before `columnNameMappers`. Values are bound to what their codecs bind; with the row,
 * the key must be known wherever an encrypted column is:
 *
 * - `insert`: assign it before; an id that the database makes comes too late
 * - `instance.$query().patch()`: taken from the instance
 * - `Model.query().findById(id).patch()`, `patchAndFetchById`, `where(…).patch()`: put the key into the patch
 * - `select`: select the key columns too
 *
 * A `where` on an encrypted column finds nothing, and its negation everything; one selected under another name, or in a
 * function, is handed out as it is stored. A patch that changes the key, or a tenant that is bound, leaves what was
 * encrypted before unreadable: with an instance that is refused, without one it cannot be seen.
 *
 * A column that is misspelt here is left in the clear. Write the options as `{ … } satisfies EncryptedTable<Row>`, `Row`
 * being the rows as the database names their columns.
 *
 * @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT`; queries reject with what `ColumnCodec` throws, and with
 * `ERR_COLUMN_STATEMENT_REFUSED` for `raw()`, `ref()` or a subquery in place of an encrypted value
 *
 * @example
 * ```ts
 * import { keyringFromEnv } from '@keywright/envelope';
 * import { encryptedModel } from '@keywright/envelope/codecs/objection';
 * import { columnCodec } from '@keywright/envelope/columns';
 * import { Model } from 'objection';
 *
 * const codec = columnCodec({ keyring: keyringFromEnv(), table: 'connections', column: 'credentials' });
 *
 * export class Connection extends encryptedModel(Model, { columns: { credentials: codec } }) {
 *   static override tableName = 'connections';
 *   declare id: string;
 *   declare credentials: { apiKey: string } | null;
 * }
 * ```
 */
export function encryptedModel<M extends ObjectionModelClass>(
  Base: M,
  options: EncryptedTable,
): M & { readonly binds: 'row' | 'column' } {
  const columns = new EncryptedColumns(options);
  /** Rows that an update is for, as the database names their columns. */
  const updated = new WeakMap<ObjectionModel, Row>();

  class Encrypted extends (Base as ObjectionModelClass) {
    static readonly binds = columns.bindsRow ? 'row' : 'column';

    override async $beforeUpdate(update: never, context: never): Promise<void> {
      await super.$beforeUpdate(update, context);
      const { old } = update as UpdateOptions;
      if (old === undefined) return;
      const place = columns.placeColumns(super.$formatDatabaseJson({ ...old }));
      updated.set(this, place);
      const changes = Object.entries(super.$formatDatabaseJson({ ...(this as object) }));
      columns.refuseMoves(Object.fromEntries(changes.filter(([column, value]) => value !== place[column])));
    }

    override $formatDatabaseJson(json: Record<string, unknown>): Record<string, unknown> {
      const clear = { ...json };
      const values: Record<string, unknown> = {};
      for (const column of columns.codecs.keys()) {
        const property = this.#propertyOf(column);
        // Objection would turn an object into JSON text first.
        if (Object.hasOwn(clear, property)) values[column] = clear[property];
        delete clear[property];
        if (Object.keys(clear).some((name) => name.startsWith(`${property}:`))) throw refused(columns, column);
      }
      const row = super.$formatDatabaseJson(clear);
      return columns.encode({ ...row, ...values }, updated.get(this));
    }

    override $parseDatabaseJson(json: Record<string, unknown>): Record<string, unknown> {
      const decoded = columns.decode(json);
      const clear = { ...json };
      const values: Record<string, unknown> = {};
      for (const column of columns.codecs.keys()) {
        if (Object.hasOwn(decoded, column)) values[this.#propertyOf(column)] = decoded[column];
        delete clear[column];
      }
      return { ...super.$parseDatabaseJson(clear), ...values };
    }

    // What Objection puts in besides a model's plain values, it puts in here.
    override $toDatabaseJson(builder?: never): Record<string, unknown> {
      const row = super.$toDatabaseJson(builder);
      for (const [column, codec] of columns.codecs) refuseExpression(codec, row[column]);
      return row;
    }

    #propertyOf(column: string): string {
      const added = Object.keys(super.$parseDatabaseJson({}));
      return Object.keys(super.$parseDatabaseJson({ [column]: null })).find((name) => !added.includes(name)) ?? column;
    }
  }
  return Encrypted as unknown as M & { readonly binds: 'row' | 'column' };
}

/** A change of a part of a value, which is not there to be changed. */
function refused(columns: EncryptedColumns, name: string): ColumnError {
  const { table, column } = columns.codecs.get(name) ?? {};
  return new ColumnError('ERR_COLUMN_STATEMENT_REFUSED', { context: { table: table ?? '', field: column ?? name } });
}
