import { Ajv2020, type Options, type ValidateFunction } from 'ajv/dist/2020.js';
import type { ProviderSchema } from '../provider-type.ts';

/** A JSON Schema (draft 2020-12) as a document. */
export type JsonSchema = Readonly<Record<string, unknown>>;

const MAX_PROVIDERS = 64;

/** Members that entries of all types have. */
export const COMMON_MEMBERS: Readonly<Record<'id' | 'type' | 'description', JsonSchema>> = Object.freeze({
  id: {
    description: 'Unique id of the provider, recorded with every key that it makes.',
    type: 'string',
    pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$',
  },
  type: { description: 'What kind of provider it is.', type: 'string' },
  description: { description: 'Shown to people who choose a provider.', type: 'string', maxLength: 500 },
});

/** What an entry of any type is. */
export const ANY_ENTRY: JsonSchema = Object.freeze({
  type: 'object',
  required: ['id', 'type'],
  properties: COMMON_MEMBERS,
});

/** The schema of `kms.json`, whose entries are `entry`. */
export function documentSchema(entry: JsonSchema): JsonSchema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'KMS providers of Keywright',
    type: 'object',
    required: ['providers'],
    additionalProperties: false,
    properties: {
      $schema: { description: 'For editors; not looked at.', type: 'string' },
      defaultProvider: {
        description: 'Id of the provider that makes keys where none is named. Default: db, or the only one.',
        type: 'string',
      },
      providers: {
        description: 'The providers, each with an id of its own; several may be of one type.',
        type: 'array',
        minItems: 1,
        maxItems: MAX_PROVIDERS,
        items: entry,
      },
    },
  };
}

/** What an entry of a type with this schema is. Of members, it has those of the schema and the common ones only. */
export function entrySchema(schema: ProviderSchema): JsonSchema {
  const properties = { id: true, type: true, description: true, ...schema.properties };
  return { ...schema, properties, additionalProperties: false };
}

const OPTIONS: Options = Object.freeze({
  strict: true,
  strictRequired: false, // refuses `anyOf: [{ required: [...] }, …]`
  allowUnionTypes: true,
  validateFormats: false, // annotations, as the draft has them
  ownProperties: true,
  verbose: true, // to tell which of several forms was meant
  logger: false,
});
const entryValidators = new WeakMap<ProviderSchema, ValidateFunction>();
let documentValidator: ValidateFunction | undefined;
let metaschema: Ajv2020 | undefined;

/** Of the document with entries of any type. */
export function validatorOfDocument(): ValidateFunction {
  documentValidator ??= compile(documentSchema(ANY_ENTRY));
  return documentValidator;
}

/** @throws Error of the library's own, for a schema that does not compile */
export function validatorOfEntry(schema: ProviderSchema): ValidateFunction {
  const known = entryValidators.get(schema) ?? compile(entrySchema(schema));
  entryValidators.set(schema, known);
  return known;
}

/** @throws Error of the library's own, for a schema that is none */
export function checkAgainstDraft(schema: ProviderSchema): void {
  metaschema ??= new Ajv2020(OPTIONS); // made once: it compiles the schema of schemas
  metaschema.validateSchema(schema, true);
  validatorOfEntry(schema);
}

/** Each time with an instance of its own: one keeps a part of all that it ever compiled. */
function compile(schema: JsonSchema): ValidateFunction {
  return new Ajv2020({ ...OPTIONS, meta: false, validateSchema: false }).compile(schema);
}
