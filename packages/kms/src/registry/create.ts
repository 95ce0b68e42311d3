import { checkProviderId, invalidArgument, kindOf, readOptions } from '../arguments.ts';
import type { KmsProvider } from '../provider.ts';
import type { KmsProviderType, ProviderEntry, ProviderServices } from '../provider-type.ts';
import { assemble, DEFAULT_CONFIG, isProvider, servicesOf } from './assemble.ts';
import { plainCopy } from './plain.ts';
import { ConfiguredRegistry } from './provider-set.ts';
import type { KmsRegistry } from './registry.ts';
import { registerTypes } from './types.ts';
import { defaultOf } from './validate.ts';

/** What `kms.json` holds, with values in the place of placeholders. */
export interface KmsConfig {
  /** @default `db` if a provider has this id, or the only provider */
  readonly defaultProvider?: string | undefined;
  readonly providers: readonly ProviderEntry[];
}

/** A registry of providers that the host made. It closes them. */
export interface RegistryOfProviders {
  readonly providers: readonly KmsProvider[];
  /** @default `db` if a provider has this id, or the only provider */
  readonly defaultProvider?: string | undefined;
  readonly config?: undefined;
}

/** A registry that makes its providers. */
export interface RegistryOfConfig extends ProviderServices {
  /**
   * Taken as it is: placeholders and references are of the operator's file, see {@link loadKmsRegistry}.
   * @default one provider of type `db` with id `db`
   */
  readonly config?: KmsConfig | undefined;
  /** Types beside `db`, `vault` and `http`. */
  readonly types?: readonly KmsProviderType[] | undefined;
  readonly providers?: undefined;
  /** A member of `config`. */
  readonly defaultProvider?: undefined;
}

/** Options of {@link createKmsRegistry}. */
export type KmsRegistryOptions = RegistryOfProviders | RegistryOfConfig;

/**
 * A registry made in code, of providers or of a configuration. Connects to nothing.
 *
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`, `ERR_KMS_CONFIG` with the path of what is refused
 *
 * @example
 * ```ts
 * import { createKmsRegistry, type KmsProvider } from '@keywright/kms';
 *
 * export const registryOf = (main: KmsProvider, backup: KmsProvider) =>
 *   createKmsRegistry({ providers: [main, backup], defaultProvider: main.id });
 * ```
 */
export function createKmsRegistry(options: KmsRegistryOptions = {}): KmsRegistry {
  return readOptions<KmsRegistryOptions, KmsRegistry>(options, 'options', (given) => {
    const { providers, config } = given;
    if (providers === undefined) {
      if (given.defaultProvider !== undefined) {
        throw invalidArgument('defaultProvider', 'in config, or beside providers', 'neither of them');
      }
      const { types, ...services } = given as RegistryOfConfig;
      const registered = registerTypes(types);
      return assemble(config === undefined ? DEFAULT_CONFIG : plainCopy(config), registered, servicesOf(services));
    }
    if (config !== undefined) throw invalidArgument('config', 'either config or providers', 'both');
    return registryOf(providers, given.defaultProvider);
  });
}

function registryOf(given: readonly KmsProvider[], chosen: string | undefined): KmsRegistry {
  if (!Array.isArray(given) || given.length === 0) throw invalidArgument('providers', 'providers', kindOf(given));
  const providers = Object.freeze([...given]) as readonly KmsProvider[];
  for (const [index, provider] of providers.entries()) {
    if (!isProvider(provider)) throw invalidArgument(`providers.${index}`, 'a provider', kindOf(provider));
    checkProviderId(provider.id, `providers.${index}.id`);
    if (providers.findIndex(({ id }) => id === provider.id) !== index) {
      throw invalidArgument(`providers.${index}.id`, 'an id that no other provider has', 'one that is taken');
    }
  }
  const entries = Object.freeze(providers.map(({ id, type }) => Object.freeze({ id, type })));
  const ids = entries.map(({ id }) => id);
  const echo = Object.freeze({ defaultProvider: defaultOf(ids, chosen), providers: entries });
  return new ConfiguredRegistry(
    providers.map((provider) => ({ provider, description: undefined })),
    echo,
  );
}
