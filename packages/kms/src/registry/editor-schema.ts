import type { KmsProviderType, ProviderSchema } from '../provider-type.ts';
import { ANY_ENTRY, COMMON_MEMBERS, documentSchema, entrySchema, type JsonSchema } from './config-schema.ts';
import { alternatives, isSchema, type Schema, typesOf } from './schema-walk.ts';

const NAME = '[A-Za-z_][A-Za-z0-9_]{0,127}';
const WHOLE = `\\$\\{${NAME}(:[^}]*)?\\}`;
const REFERENCE = `^(env:${NAME}|file:.+)$`;
const ANNOTATIONS = new Set(['title', 'description', 'default', 'examples', 'deprecated', 'writeOnly']);

/**
 * The schema of `kms.json` for editors: as the loader's, but every member that may hold a placeholder or reference may
 * be one too. A host with types of its own makes its file with this.
 *
 * @param types all types that the file may name
 *
 * @example
 * ```ts
 * import { type KmsProviderType, kmsJsonSchema } from '@keywright/kms';
 *
 * export const schemaText = (types: readonly KmsProviderType[]) => JSON.stringify(kmsJsonSchema(types), null, 2);
 * ```
 */
export function kmsJsonSchema(types: readonly Pick<KmsProviderType, 'type' | 'schema'>[]): JsonSchema {
  const names = types.map(({ type }) => type);
  const entry = {
    ...ANY_ENTRY,
    properties: { ...COMMON_MEMBERS, type: { ...COMMON_MEMBERS.type, enum: names } },
    allOf: names.map(whenOfType),
  };
  const definitions = types.map(({ type, schema }) => [type, entrySchema(withReferences(schema) as ProviderSchema)]);
  return { ...documentSchema(entry), $defs: Object.fromEntries(definitions) as JsonSchema };
}

/** One entry's type decides by which schema it is looked at, so an error is of that one and not of all. */
function whenOfType(type: string): JsonSchema {
  return {
    if: { required: ['type'], properties: { type: { const: type } } },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { $ref: `#/$defs/${type}` }, // oxlint-disable-line unicorn/no-thenable
  };
}

/** Keywords with schemas in them, and what becomes of those. What only tests a value, as `if` and `not`, stays. */
const CHANGES: ReadonlyMap<string, (value: unknown) => unknown> = new Map([
  ['properties', membersOf],
  ['patternProperties', membersOf],
  ['additionalProperties', (value: unknown) => changed(value, memberOf)],
  ['items', (value: unknown) => changed(value, memberOf)],
  ['prefixItems', (value: unknown) => changedEach(value, memberOf)],
  ['allOf', (value: unknown) => changedEach(value, withReferences)],
  ['anyOf', (value: unknown) => changedEach(value, withReferences)],
  ['then', (value: unknown) => changed(value, withReferences)],
  ['else', (value: unknown) => changed(value, withReferences)],
]);

/** `schema` as it holds for what is written in the file. */
function withReferences(schema: Schema): Schema {
  const entries = Object.entries(schema).map(([keyword, value]) => {
    // A placeholder may stand for the member by which alternatives are told apart, so it fits several.
    const name = keyword === 'oneOf' && schema.anyOf === undefined && lookAtValues(value) ? 'anyOf' : keyword;
    return [name, CHANGES.get(name)?.(value) ?? value] as const;
  });
  return Object.fromEntries(entries);
}

/** Whether alternatives are told apart by more than which members are there. */
function lookAtValues(branches: unknown): boolean {
  return (branches as readonly unknown[]).some((branch) => Object.keys(Object(branch)).some((of) => of !== 'required'));
}

function memberOf(schema: Schema): Schema {
  const inner = withReferences(schema);
  const types = typesOf(alternatives(schema));
  if (types.has('object') || types.has('array')) return inner;
  const notes = Object.entries(inner).filter(([name]) => ANNOTATIONS.has(name));
  const rules = Object.entries(inner).filter(([name]) => !ANNOTATIONS.has(name));
  if (rules.every(([name]) => name === 'type') && types.has('string')) return inner;
  const filled = types.has('string') || types.size === 0 ? WHOLE : `^${WHOLE}$`;
  const reference = { type: 'string', pattern: `${REFERENCE}|${filled}` };
  return { ...Object.fromEntries(notes), anyOf: [Object.fromEntries(rules), reference] };
}

function changed(value: unknown, change: (schema: Schema) => Schema): unknown {
  return isSchema(value) ? change(value) : value;
}

function changedEach(list: unknown, change: (schema: Schema) => Schema): unknown {
  return Array.isArray(list) ? list.map((value: unknown) => changed(value, change)) : list;
}

function membersOf(value: unknown): unknown {
  if (!isSchema(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, schema]) => [name, changed(schema, memberOf)]));
}
