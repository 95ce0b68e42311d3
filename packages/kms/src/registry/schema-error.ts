import type { ErrorObject } from 'ajv/dist/2020.js';
import type { Path } from './path.ts';
import { isSchema, type Schema } from './schema-walk.ts';

/** What the validator refused: where, and what the schema has there. Made of the schema alone, never of the value. */
export interface SchemaRefusal {
  readonly path: Path;
  readonly expected: string;
  /** If that is not the type of the value. */
  readonly received?: string;
}

/** @param errors of a validator with `verbose` */
export function describeError(errors: readonly ErrorObject[]): SchemaRefusal {
  const all = errors.filter(({ keyword }) => keyword !== 'if'); // says that what `if` leads to failed
  const last = all.at(-1) as ErrorObject;
  if (last.keyword === 'anyOf' || last.keyword === 'oneOf') return ofAlternatives(last, all.slice(0, -1));
  return ofKeyword(all[0] as ErrorObject);
}

/** Of alternatives that a constant member tells apart, the one that was chosen is spoken of. */
function ofAlternatives(error: ErrorObject, errors: readonly ErrorObject[]): SchemaRefusal {
  const path = pathOf(error.instancePath);
  const branches = error.schema as readonly Schema[];
  const presence = branches.map(({ required }) =>
    Array.isArray(required) && required.length === 1 ? required[0] : '',
  );
  if (presence.every((member) => member !== '')) {
    return { path, expected: `${error.keyword === 'oneOf' ? 'exactly' : 'at least'} one of ${presence.join(', ')}` };
  }
  const name = Object.keys(constantsOf(branches[0])).find((of) =>
    branches.every((branch) => of in constantsOf(branch)),
  );
  if (name === undefined) return { path, expected: error.message ?? error.keyword };
  const values = branches.map((branch) => constantsOf(branch)[name]);
  const chosen = values.indexOf((Object(error.data) as Record<string, unknown>)[name]);
  const inside = errors.filter(({ schemaPath }) => schemaPath.startsWith(`${error.schemaPath}/${chosen}/`));
  return inside.length > 0 ? describeError(inside) : { path: [...path, name], expected: `one of ${values.join(', ')}` };
}

function constantsOf(branch: Schema | undefined): Readonly<Record<string, unknown>> {
  const members = Object.entries(isSchema(branch?.properties) ? branch.properties : {});
  return Object.fromEntries(members.flatMap(([name, of]) => (isSchema(of) && 'const' in of ? [[name, of.const]] : [])));
}

function ofKeyword({ keyword, instancePath, message = keyword, params }: ErrorObject): SchemaRefusal {
  const path = pathOf(instancePath);
  const { additionalProperty, missingProperty, property, allowedValues, allowedValue, type } = params as Record<
    string,
    unknown
  >;
  switch (keyword) {
    case 'additionalProperties':
      return { path: [...path, String(additionalProperty)], expected: 'no member of this name' };
    case 'required':
      return { path: [...path, String(missingProperty)], expected: 'a member that must be there', received: 'nothing' };
    case 'dependentRequired':
      return { path: [...path, String(missingProperty)], expected: `a member beside ${property}`, received: 'nothing' };
    case 'enum':
      return { path, expected: `one of ${(allowedValues as readonly unknown[]).join(', ')}` };
    case 'const':
      return { path, expected: String(allowedValue) };
    case 'type':
      return { path, expected: String(type) };
    default:
      return { path, expected: message };
  }
}

function pathOf(pointer: string): Path {
  const parts = pointer.split('/').slice(1);
  return parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}
