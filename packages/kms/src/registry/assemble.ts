import { KmsError, type KmsErrorCode } from '../errors.ts';
import type { KmsProvider } from '../provider.ts';
import type { KmsProviderType, ProviderEntry, ProviderServices } from '../provider-type.ts';
import { closeAll } from './close.ts';
import { echoOf } from './echo.ts';
import { configError, type Path, pointerOf } from './path.ts';
import type { Plain } from './plain.ts';
import { ConfiguredRegistry } from './provider-set.ts';
import type { KmsRegistry } from './registry.ts';
import type { WrittenForms } from './resolve.ts';
import type { ProviderTypes } from './types.ts';
import { checkConfig } from './validate.ts';

/** What is configured where nothing is. */
export const DEFAULT_CONFIG: Plain = Object.freeze({
  providers: Object.freeze([Object.freeze({ id: 'db', type: 'db', description: 'Keys in the database' })]),
});

/** What types are given of the options of a registry. */
export function servicesOf({ knex, tables, root, logger }: ProviderServices): ProviderServices {
  return Object.freeze({ knex, tables, root, logger });
}

/** @throws KmsError `ERR_KMS_CONFIG` and what the types throw */
export function assemble(
  config: Plain,
  types: ProviderTypes,
  services: ProviderServices,
  written: WrittenForms = new Map(),
): KmsRegistry {
  const checked = checkConfig(config, types);
  const echo = echoOf(checked, types, written);
  const providers = buildProviders(checked.providers, types, services);
  const members = providers.map((provider, index) => {
    const description = echo.providers[index]?.description;
    return { provider, description: typeof description === 'string' ? description : undefined };
  });
  return new ConfiguredRegistry(members, echo);
}

const REFUSALS: ReadonlySet<KmsErrorCode> = new Set(['ERR_KMS_CONFIG', 'ERR_KMS_INVALID_ARGUMENT']);

/**
 * Makes the providers of entries that fit their types' schemas. If one cannot be made, those before it are closed.
 *
 * @throws KmsError `ERR_KMS_CONFIG` with the path of what a type refuses; KmsErrors of other codes with the entry's path
 */
function buildProviders(
  entries: readonly ProviderEntry[],
  types: ProviderTypes,
  services: ProviderServices,
): readonly KmsProvider[] {
  const made: KmsProvider[] = [];
  try {
    for (const [index, entry] of entries.entries()) {
      made.push(build(entry, types.get(entry.type) as KmsProviderType, services, ['providers', index]));
    }
    return made;
  } catch (error) {
    closeAll(made).catch(() => {}); // what failed first is what is told
    throw error;
  }
}

function build(entry: ProviderEntry, type: KmsProviderType, services: ProviderServices, path: Path): KmsProvider {
  let provider: KmsProvider;
  try {
    provider = type.create(entry, services);
  } catch (error) {
    throw withPath(error, type, path);
  }
  if (isProvider(provider) && provider.id === entry.id && provider.type === entry.type) return provider;
  throw configError(path, "a provider of this id and type, made by its type's create()", {
    received: 'another object',
  });
}

/** A constructor speaks of its options, which are the members of the entry. */
function withPath(error: unknown, { schema }: KmsProviderType, path: Path): Error {
  if (!(error instanceof KmsError)) {
    const { context } = configError(path, 'an entry that the type accepts');
    return new KmsError('ERR_KMS_CONFIG', { context, cause: error });
  }
  const { argument, field, ...context } = error.context;
  const about = String(argument ?? field ?? '');
  const member = about.replace(/^\/|^options\./, '').split(/[./]/);
  if (REFUSALS.has(error.code) && Object.hasOwn(schema.properties, member[0] ?? '')) {
    const at = pointerOf([...path, ...member]);
    return new KmsError('ERR_KMS_CONFIG', { context: { ...context, field: at }, cause: error });
  }
  const named = about === '' ? {} : { argument: about };
  return new KmsError(error.code, { context: { ...context, ...named, field: pointerOf(path) }, cause: error });
}

/** Whether it has what the registry uses of a provider. */
export function isProvider(value: unknown): value is KmsProvider {
  const { id, type, capabilities, sign, health, close } = Object(value) as Partial<KmsProvider>;
  return (
    typeof id === 'string' &&
    typeof type === 'string' &&
    typeof capabilities === 'object' &&
    [sign, health, close].every((method) => typeof method === 'function')
  );
}
