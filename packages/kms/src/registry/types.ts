import { invalidArgument, kindOf } from '../arguments.ts';
import type { KmsProviderType, ProviderSchema } from '../provider-type.ts';
import { dbProviderType } from '../providers/db/index.ts';
import { httpProviderType } from '../providers/http/index.ts';
import { vaultProviderType } from '../providers/vault/index.ts';
import { COMMON_MEMBERS, checkAgainstDraft } from './config-schema.ts';
import { isPlainObject, type Plain, plainCopy } from './plain.ts';

/** The types that every registry knows. */
export const BUILT_IN_TYPES: readonly KmsProviderType[] = Object.freeze([
  dbProviderType,
  vaultProviderType,
  httpProviderType,
]);

/** Types by their names. */
export type ProviderTypes = ReadonlyMap<string, KmsProviderType>;

const TYPE = /^[a-z0-9][a-z0-9-]{0,63}$/;
/** A schema is looked at by more than the validator: what is secret in it is found by walking it. */
const REFERENCES = new Set(['$ref', '$dynamicRef', '$recursiveRef', '$id', '$anchor', '$dynamicAnchor', '$async']);

/**
 * The types that a configuration may name.
 *
 * @param given beside the built-in ones, whose schemas are tested and not looked at again
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT` for two of one name, or one whose schema is none
 */
export function registerTypes(given: readonly KmsProviderType[] = []): ProviderTypes {
  if (!Array.isArray(given)) throw invalidArgument('types', 'an array', kindOf(given));
  const types = new Map(BUILT_IN_TYPES.map((type) => [type.type, type]));
  for (const [index, candidate] of (given as readonly KmsProviderType[]).entries()) {
    const type = checkType(candidate, `types.${index}`);
    if (types.has(type.type)) {
      throw invalidArgument(`types.${index}.type`, 'a name that no other type has', 'one that is taken');
    }
    types.set(type.type, type);
  }
  return types;
}

function checkType(given: KmsProviderType, argument: string): KmsProviderType {
  const { type, schema, create } = (given ?? {}) as Partial<KmsProviderType>;
  if (typeof type !== 'string' || !TYPE.test(type)) {
    throw invalidArgument(`${argument}.type`, '1 to 64 out of a-z, 0-9 and "-"', kindOf(type));
  }
  if (typeof create !== 'function') throw invalidArgument(`${argument}.create`, 'a function', kindOf(create));
  return Object.freeze({
    type,
    schema: checkSchema(schema, `${argument}.schema`),
    create: (entry, services) => given.create(entry, services),
  } satisfies KmsProviderType);
}

function checkSchema(given: unknown, argument: string): ProviderSchema {
  const schema = copyOf(given, argument);
  const refuse = (received: string): Error =>
    invalidArgument(
      argument,
      'a JSON Schema (draft 2020-12) of an object, in strict mode, without references',
      received,
    );
  if (!isPlainObject(schema) || schema.type !== 'object' || !isPlainObject(schema.properties)) throw refuse('another');
  const common = Object.keys(COMMON_MEMBERS).find((name) => Object.hasOwn(schema.properties as object, name));
  if (common !== undefined) throw refuse(`one with ${common}, which every entry has`);
  if (hasReference(schema)) throw refuse('one with a reference');
  try {
    checkAgainstDraft(schema as unknown as ProviderSchema);
  } catch {
    throw refuse('a schema that does not compile');
  }
  return schema as unknown as ProviderSchema;
}

function copyOf(given: unknown, argument: string): Plain {
  try {
    return plainCopy(given);
  } catch {
    throw invalidArgument(argument, 'a JSON Schema', kindOf(given));
  }
}

function hasReference(value: Plain): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([name, member]) => REFERENCES.has(name) || hasReference(member as Plain));
}
