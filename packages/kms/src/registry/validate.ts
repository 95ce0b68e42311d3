import type { ValidateFunction } from 'ajv/dist/2020.js';
import { kindOf } from '../arguments.ts';
import type { ProviderEntry } from '../provider-type.ts';
import { validatorOfDocument, validatorOfEntry } from './config-schema.ts';
import { configError, type Path } from './path.ts';
import type { Plain } from './plain.ts';
import { describeError } from './schema-error.ts';
import type { ProviderTypes } from './types.ts';

/** A configuration that fits the schema, its ids are unique and its default is one of them. */
export interface CheckedConfig {
  readonly defaultProvider: string;
  readonly providers: readonly ProviderEntry[];
}

/** @throws KmsError `ERR_KMS_CONFIG` with the path of what is refused */
export function checkConfig(config: Plain, types: ProviderTypes): CheckedConfig {
  check(config, validatorOfDocument(), []);
  const { defaultProvider, providers } = config as unknown as Partial<CheckedConfig> & CheckedConfig;
  for (const [index, entry] of providers.entries()) {
    const type = types.get(entry.type);
    if (type === undefined) {
      const expected = `one of ${[...types.keys()].join(', ')}`;
      throw configError(['providers', index, 'type'], expected, { received: receivedOf(entry.type) });
    }
    check(entry, validatorOfEntry(type.schema), ['providers', index]);
  }
  const ids = providers.map(({ id }) => id);
  const second = ids.findIndex((id, index) => ids.indexOf(id) !== index);
  if (second >= 0) throw configError(['providers', second, 'id'], 'an id that no other provider has');
  return { defaultProvider: defaultOf(ids, defaultProvider), providers };
}

/** @throws KmsError `ERR_KMS_CONFIG` */
export function defaultOf(ids: readonly string[], chosen: string | undefined, preferred = 'db'): string {
  const [first = ''] = ids;
  const id = chosen ?? (ids.includes(preferred) ? preferred : first);
  const isDecided = chosen !== undefined || id === preferred || ids.length === 1;
  if (isDecided && ids.includes(id)) return id;
  throw configError(['defaultProvider'], 'the id of one of the providers', { received: kindOf(chosen) });
}

/** Refuses what is at `path` if it does not fit. */
function check(value: unknown, validate: ValidateFunction, path: Path): void {
  const isValid: boolean = validate(value);
  if (isValid) return;
  const { path: inside, expected, received } = describeError(validate.errors ?? []);
  validate.errors = null; // they hold the value, and the function stays
  let at = value;
  for (const part of inside) at = (Object(at) as Readonly<Record<string, unknown>>)[part];
  throw configError([...path, ...inside], expected, { received: received ?? receivedOf(at) });
}

function receivedOf(value: unknown): string {
  return typeof value === 'string' ? `another string of length ${value.length}` : kindOf(value);
}
