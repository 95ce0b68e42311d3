/** A JSON Schema without references. */
export type Schema = Readonly<Record<string, unknown>>;

/** `schema` and all that it is combined of, for the same value. */
export function alternatives(schema: unknown): readonly Schema[] {
  if (!isSchema(schema)) return [];
  const { allOf = [], anyOf = [], oneOf = [], dependentSchemas = {} } = schema as Record<string, object>;
  const parts = [allOf, anyOf, oneOf, dependentSchemas].flatMap((keyword) => Object.values(keyword) as unknown[]);
  return [schema, ...[...parts, schema.then, schema.else].flatMap(alternatives)];
}

/** The schemas that hold for a member or item of a value for which `schemas` hold. */
export function schemasAt(schemas: readonly Schema[], part: string | number): readonly Schema[] {
  return schemas.flatMap((schema) =>
    alternatives(typeof part === 'number' ? item(schema, part) : member(schema, part)),
  );
}

/** Names of the JSON types that values of these schemas can have; empty if they don't say. */
export function typesOf(schemas: readonly Schema[]): ReadonlySet<string> {
  const types = new Set<string>();
  for (const { type, const: only, enum: listed = [] } of schemas) {
    for (const name of [type].flat()) if (typeof name === 'string') types.add(name);
    for (const value of [...(listed as unknown[]), only]) if (value !== undefined) types.add(typeof value);
  }
  return types;
}

function member(schema: Schema, name: string): unknown {
  const { properties = {}, patternProperties = {}, additionalProperties } = schema as Record<string, object>;
  if (Object.hasOwn(properties, name)) return (properties as Schema)[name];
  const patterns = Object.entries(patternProperties).filter(([pattern]) => new RegExp(pattern, 'u').test(name));
  return patterns.length > 0 ? { allOf: patterns.map(([, value]) => value as unknown) } : additionalProperties;
}

function item(schema: Schema, index: number): unknown {
  const { prefixItems = [], items } = schema;
  return (prefixItems as readonly unknown[])[index] ?? items;
}

export function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
