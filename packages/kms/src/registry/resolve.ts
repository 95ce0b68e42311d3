import { KmsError } from '../errors.ts';
import type { KmsProviderType } from '../provider-type.ts';
import { configError, type Path, pointerOf } from './path.ts';
import { fillsString, parseReference, REFERENCE_FORMS, type Reference, shownReference } from './placeholders.ts';
import { isPlainObject, mapStrings, type Plain } from './plain.ts';
import { alternatives, type Schema, schemasAt, typesOf } from './schema-walk.ts';
import { readSmallFile } from './small-file.ts';

/** Variables by name. Only own members that are strings and not empty count as set. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** How a value was written, by the JSON pointer of each string that held a reference. */
export type WrittenForms = ReadonlyMap<string, string>;

export interface ResolvedConfig {
  readonly config: Plain;
  readonly written: WrittenForms;
}

type Types = ReadonlyMap<string, KmsProviderType>;

const MAX_REFERENCED_BYTES = 64 * 1024;
/** What names a provider has to be readable in the file, by people and by editors. */
const NOT_SCANNED = /^\/(\$schema|providers\/\d+\/(id|type))$/;

/**
 * Puts values where the operator's file refers to them. Each string is looked at once: what a variable or file holds is
 * a value, whatever it looks like.
 *
 * @throws KmsError `ERR_KMS_CONFIG` for a malformed reference, `ERR_KMS_CONFIG_REFERENCE` for one that leads nowhere
 */
export async function resolveReferences(config: Plain, env: Environment, types: Types): Promise<ResolvedConfig> {
  const written = new Map<string, string>();
  const resolved = await mapStrings(config, async (text, path) => {
    const field = pointerOf(path);
    if (NOT_SCANNED.test(field)) return text;
    const reference = parseReference(text);
    if (reference === undefined) throw configError(path, REFERENCE_FORMS);
    if (reference.kind === 'literal') return text;
    written.set(JSON.stringify(path), shownReference(text, reference));
    const value = await valueBehind(reference, env, field);
    return fillsString(reference) ? converted(value, memberTypes(config, path, types)) : value;
  });
  return { config: resolved, written };
}

async function valueBehind(
  reference: Exclude<Reference, { kind: 'literal' }>,
  env: Environment,
  field: string,
): Promise<string> {
  if (reference.kind === 'file') return await readReferenced(reference.path, field);
  const parts = reference.kind === 'env' ? [reference.variable] : reference.parts;
  return parts.map((part) => (typeof part === 'string' ? part : lookUp(env, part, field))).join('');
}

function lookUp(
  env: Environment,
  { name, fallback }: { name: string; fallback: string | undefined },
  field: string,
): string {
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  if (typeof value === 'string' && value !== '') return value;
  if (fallback !== undefined) return fallback;
  throw new KmsError('ERR_KMS_CONFIG_REFERENCE', {
    context: { field, variable: name, expected: 'a variable that is set' },
  });
}

async function readReferenced(path: string, field: string): Promise<string> {
  const expected = `a regular file of 1 to ${MAX_REFERENCED_BYTES} bytes of text`;
  const file = await readSmallFile(path, MAX_REFERENCED_BYTES);
  const text = file.ok ? file.text.replace(/\r?\n$/, '') : '';
  if (text !== '') return text;
  const received = file.ok ? 'an empty file' : file.received;
  throw new KmsError('ERR_KMS_CONFIG_REFERENCE', {
    context: { field, expected, received },
    ...(file.ok ? {} : { cause: file.cause }),
  });
}

/** The types that the schema of the entry's type gives to the value at `path`. */
function memberTypes(config: Plain, [list, index, ...inside]: Path, types: Types): ReadonlySet<string> {
  const entries = isPlainObject(config) && list === 'providers' ? config.providers : undefined;
  const entry: unknown = Array.isArray(entries) ? entries[Number(index)] : undefined;
  const type = isPlainObject(entry) && typeof entry.type === 'string' ? types.get(entry.type) : undefined;
  let schemas: readonly Schema[] = alternatives(type?.schema);
  for (const part of inside) schemas = schemasAt(schemas, part);
  return typesOf(schemas);
}

/** Text as a number or boolean where the schema has one of these and no string. Anything else stays text. */
function converted(text: string, types: ReadonlySet<string>): Plain {
  if (types.has('string')) return text;
  if (types.has('boolean') && (text === 'true' || text === 'false')) return text === 'true';
  const isNumeric = types.has('number') || types.has('integer');
  return isNumeric && /^-?(0|[1-9]\d{0,14})(\.\d{1,15})?$/.test(text) ? Number(text) : text;
}
