import type { EncryptedTable } from './encrypted-columns.ts';
import { type Fields, isFields, type ModelInfo, type Models, modelsOf } from './prisma/models.ts';
import { checkArguments, decodeRows, modelOfResult } from './prisma/reads.ts';
import { refusal } from './prisma/refusal.ts';
import { encodeCreate, encodeUpdate, encodeWhole, keyIn } from './prisma/writes.ts';
import { mentions } from './sql-text.ts';

export type { EncryptedTable } from './encrypted-columns.ts';

export interface PrismaEncryptionOptions {
  /** Encrypted fields by model, under the names that the schema gives them. */
  readonly models: Readonly<Record<string, EncryptedTable>>;
}

interface Call {
  readonly model?: string | undefined;
  readonly operation: string;
  readonly args: unknown;
  readonly query: (args: unknown) => Promise<unknown>;
}

/** Operations by what they write. */
const WRITES: Readonly<Record<string, 'create' | 'update' | 'upsert' | 'nothing'>> = Object.freeze({
  create: 'create',
  createMany: 'create',
  createManyAndReturn: 'create',
  update: 'update',
  updateMany: 'update',
  updateManyAndReturn: 'update',
  upsert: 'upsert',
  ...Object.fromEntries(
    ['findUnique', 'findUniqueOrThrow', 'findFirst', 'findFirstOrThrow', 'findMany', 'delete', 'deleteMany']
      .concat(['count', 'aggregate', 'groupBy'])
      .map((operation) => [operation, 'nothing'] as const),
  ),
});
/** Operations that do not give rows. */
const NO_ROWS: ReadonlySet<string> = new Set([
  'createMany',
  'updateMany',
  'deleteMany',
  'count',
  'aggregate',
  'groupBy',
]);

/**
 * A Prisma client whose fields are encrypted as they are written and decrypted as they are read, also in nested writes,
 * in `include` and in `select`. Values are bound to what their codecs bind; the key is bound under the names that the
 * database has for its columns. With the row, the key must be known wherever an encrypted field is:
 *
 * - `create`: in the data, so assign ids yourself; `@default(uuid())` and `autoincrement()` come too late
 * - `update`, `upsert`, `updateMany`: in the `where`, as a plain value
 * - `select`: select the key fields too, `omit`: keep them
 *
 * Refused before it runs: an encrypted field in a condition other than for null, in `orderBy`, `distinct`, `groupBy` or an
 * aggregate; raw SQL that names an encrypted model's table. The client that was passed in goes by it, and sees what is
 * stored. A JSON codec's value is data, `{ set: … }` too.
 *
 * Await a query where its tenant is known: Prisma starts it only then.
 *
 * @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT`; queries reject with what `ColumnCodec` throws, and with
 * `ERR_COLUMN_STATEMENT_REFUSED`
 *
 * @example
 * ```ts
 * import { keyringFromEnv } from '@keywright/envelope';
 * import { prismaEncryption } from '@keywright/envelope/codecs/prisma';
 * import { columnCodec } from '@keywright/envelope/columns';
 *
 * // new PrismaClient(…)
 * declare const client: { $extends: unknown; connection: { create(args: object): Promise<object> } };
 *
 * const codec = columnCodec({
 *   keyring: keyringFromEnv(),
 *   table: 'connections',
 *   column: 'credentials',
 *   payload: 'text',
 * });
 * const prisma = prismaEncryption(client, { models: { Connection: { columns: { credentials: codec } } } });
 * await prisma.connection.create({ data: { id: 'c1', credentials: 'sk_test_1' } });
 * ```
 */
export function prismaEncryption<C extends { readonly $extends: unknown }>(
  client: C,
  options: PrismaEncryptionOptions,
): C {
  const models = modelsOf(client, options?.models);
  const $allOperations = async (call: Call): Promise<unknown> => {
    const model = call.model === undefined ? undefined : models.get(call.model);
    if (model !== undefined) return ofModel(models, model, call);
    checkRaw(models, call);
    return call.query(call.args);
  };
  const { $extends } = client as unknown as { $extends(extension: object): C };
  return $extends.call(client, { name: 'keywright', query: { $allOperations } });
}

async function ofModel(models: Models, model: ModelInfo, { operation, args: given, query }: Call): Promise<unknown> {
  const args = isFields(given) ? given : {};
  const writes = Object.hasOwn(WRITES, operation) ? WRITES[operation] : undefined;
  // What a later release adds, or one database alone has.
  if (writes === undefined && model.columns !== undefined) throw refusal(model, '*', operation);
  checkArguments(models, model, NO_ROWS.has(operation) ? { ...args, select: undefined } : args);
  const result = await query(isFields(given) ? encode(models, model, writes, args) : given);
  if (NO_ROWS.has(operation)) return result;
  return decodeRows(models, modelOfResult(models, model, args, result), result);
}

function encode(models: Models, model: ModelInfo, writes: string | undefined, args: Fields): Fields {
  if (writes === 'create') return { ...args, data: encodeCreate(models, model, args.data) };
  if (writes === 'update') return { ...args, data: encodeUpdate(models, model, args.data, keyIn(model, args.where)) };
  return writes === 'upsert' ? encodeWhole(models, model, args) : args;
}

/** SQL text is not parsed. Where it names an encrypted model's table, it could do anything. */
function checkRaw(models: Models, { operation, args }: Call): void {
  const text = rawText(args);
  for (const model of models.values()) {
    if (model.columns !== undefined && mentions(text, model.table)) throw refusal(model, '*', operation);
  }
}

function rawText(args: unknown): string {
  if (Array.isArray(args)) return String(args[0]);
  const { strings, sql } = (args ?? {}) as { strings?: unknown; sql?: unknown };
  if (Array.isArray(strings)) return strings.join('?');
  return typeof sql === 'string' ? sql : JSON.stringify(args ?? '');
}
