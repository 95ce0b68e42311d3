import type { Metadata } from '../arguments.ts';

/** A condition on rows of `secrets` as knex takes it, with its bindings. */
export type Condition = readonly [sql: string, bindings: readonly string[]];

/** Conditions that databases write differently. */
export interface Conditions {
  /** The name contains a text, whatever the case; nothing in the text is a wildcard. */
  nameContains(text: string): Condition;
  /** It has all of these tags. */
  hasTags(tags: readonly string[]): Condition;
  /** Its metadata contains this: PostgreSQL's `@>`. */
  metadataContains(metadata: Metadata): Condition;
}

/** As the partial indexes on tags and metadata have them. */
export const postgresConditions: Conditions = {
  nameContains: (text) => ['strpos(lower(name), lower(?)) > 0', [text]],
  hasTags: (tags) => ['tags is not null and tags @> ?::jsonb', [JSON.stringify(tags)]],
  metadataContains: (metadata) => ["metadata <> '{}' and metadata @> ?::jsonb", [JSON.stringify(metadata)]],
};

/** By looking into the JSON of each of the tenant's secrets. */
export const sqliteConditions: Conditions = {
  nameContains: (text) => ['instr(lower(name), lower(?)) > 0', [text]],
  hasTags: (tags) => [
    tags.map(() => 'exists (select 1 from json_each(tags) as t where t.value = ?)').join(' and '),
    tags,
  ],
  metadataContains: (metadata) => membersIn('metadata', metadata, 1),
};

/** What of a JSON value `source` holds as text is at least what is asked for. */
function membersIn(source: string, members: Metadata, level: number): Condition {
  const alias = `m${level}`;
  return all(
    Object.entries(members).map(([name, value]): Condition => {
      const [sql, bindings] = same(alias, value, level);
      const member = `exists (select 1 from json_each(${source}) as ${alias} where ${alias}.key = ? and ${sql})`;
      return [member, [name, ...bindings]];
    }),
  );
}

function elementsIn(source: string, elements: readonly unknown[], level: number): Condition {
  const alias = `m${level}`;
  return all(
    elements.map((element): Condition => {
      const [sql, bindings] = same(alias, element, level);
      return [`exists (select 1 from json_each(${source}) as ${alias} where ${sql})`, bindings];
    }),
  );
}

/** One row of `json_each` is, or contains, a value. */
function same(alias: string, value: unknown, level: number): Condition {
  if (value === null) return [`${alias}.type = 'null'`, []];
  switch (typeof value) {
    case 'boolean':
      return [`${alias}.type = '${value}'`, []];
    case 'number':
      // Bound as text, which every driver keeps exact.
      return [`(${alias}.type in ('integer', 'real') and ${alias}.value = cast(? as numeric))`, [String(value)]];
    case 'string':
      return [`(${alias}.type = 'text' and ${alias}.value = ?)`, [value]];
    default: {
      const kind = Array.isArray(value) ? 'array' : 'object';
      // Looked into only where it is one: json_each refuses other text.
      const source = `case ${alias}.type when '${kind}' then ${alias}.value end`;
      const [sql, bindings] = Array.isArray(value)
        ? elementsIn(source, value, level + 1)
        : membersIn(source, value as Metadata, level + 1);
      return [`(${alias}.type = '${kind}' and ${sql})`, bindings];
    }
  }
}

function all(conditions: readonly Condition[]): Condition {
  if (conditions.length === 0) return ['1 = 1', []];
  return [`(${conditions.map(([sql]) => sql).join(' and ')})`, conditions.flatMap(([, bindings]) => bindings)];
}
