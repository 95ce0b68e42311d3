import { invalid } from '../../columns/options.ts';
import { describe } from '../../keywright-error.ts';
import { EncryptedColumns, type EncryptedTable } from '../encrypted-columns.ts';

/** What is known of a model at run time. */
export interface ModelInfo {
  readonly name: string;
  /** What the database calls it. */
  readonly table: string;
  readonly fields: ReadonlySet<string>;
  /** Model by the field that leads to it. */
  readonly relations: ReadonlyMap<string, string>;
  readonly columns: EncryptedColumns | undefined;
}

export type Models = ReadonlyMap<string, ModelInfo>;

interface RuntimeDataModel {
  readonly models?: Readonly<Record<string, RuntimeModel>>;
}

interface RuntimeModel {
  readonly dbName?: string | null;
  readonly fields: readonly {
    readonly name: string;
    readonly kind: string;
    readonly type: string;
    readonly dbName?: string;
  }[];
}

/**
 * The client's own account of its models. Without it a nested write would go by unseen.
 * @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT`
 */
export function modelsOf(client: unknown, encrypted: Readonly<Record<string, EncryptedTable>>): Models {
  const { _runtimeDataModel: model } = (client ?? {}) as { _runtimeDataModel?: RuntimeDataModel };
  const runtime = model?.models;
  if (runtime === undefined) throw invalid('client', 'a PrismaClient that knows its models', describe(client));
  if (typeof encrypted !== 'object' || encrypted === null || Object.keys(encrypted).length === 0) {
    throw invalid('models', 'encrypted fields by model', describe(encrypted));
  }
  const models = new Map<string, ModelInfo>();
  for (const [name, { dbName, fields }] of Object.entries(runtime)) {
    const dbNames = new Map(fields.map((field) => [field.name, field.dbName ?? field.name]));
    const table = Object.hasOwn(encrypted, name) ? encrypted[name] : undefined;
    models.set(name, {
      name,
      table: dbName ?? name,
      fields: new Set(dbNames.keys()),
      relations: new Map(fields.filter(({ kind }) => kind === 'object').map((field) => [field.name, field.type])),
      columns: table && new EncryptedColumns(table, (field) => dbNames.get(field) ?? field),
    });
  }
  for (const name of Object.keys(encrypted)) checkNames(models.get(name), name);
  return models;
}

function checkNames(model: ModelInfo | undefined, name: string): void {
  if (model?.columns === undefined) throw invalid('models', 'names of models', name);
  const { key, tenant, codecs } = model.columns;
  for (const field of [...codecs.keys(), ...key, ...(tenant === undefined ? [] : [tenant])]) {
    if (!model.fields.has(field)) throw invalid('models', 'names of fields', `${name}.${field}`);
  }
}

export function targetOf(models: Models, model: ModelInfo, field: string): ModelInfo | undefined {
  const name = model.relations.get(field);
  return name === undefined ? undefined : models.get(name);
}

export type Fields = Readonly<Record<string, unknown>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

/** `Prisma.DbNull` and `Prisma.JsonNull`, which are objects. */
export function isNullOfPrisma(value: unknown): boolean {
  if (!isFields(value)) return false;
  return Object.getOwnPropertySymbols(value).some(({ description }) => description === 'prisma.objectEnumValue');
}

/** One or many, as Prisma takes most things. */
export function eachOf(value: unknown): readonly Fields[] {
  return (Array.isArray(value) ? value : [value]).filter(isFields);
}
