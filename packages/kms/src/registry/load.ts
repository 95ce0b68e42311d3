import { invalidArgument, kindOf, readOptions } from '../arguments.ts';
import type { KmsProviderType, ProviderServices } from '../provider-type.ts';
import { assemble, DEFAULT_CONFIG, servicesOf } from './assemble.ts';
import { type ConfigPlace, readConfigFile } from './config-file.ts';
import { plainCopy } from './plain.ts';
import type { KmsRegistry } from './registry.ts';
import { type Environment, resolveReferences } from './resolve.ts';
import { registerTypes } from './types.ts';

/** Options of {@link loadKmsRegistry}. */
export interface LoadKmsRegistryOptions extends ProviderServices {
  /**
   * Folder that may hold a `kms.json`.
   * @default `CONFIG_FOLDER` of `env`; without it, there is no file
   */
  readonly folder?: string | undefined;
  /** Path of the configuration, in the place of a folder. This file must be there. */
  readonly file?: string | undefined;
  /**
   * Variables for placeholders. One that is set but empty counts as unset.
   * @default process.env
   */
  readonly env?: Environment | undefined;
  /** Types beside `db`, `vault` and `http`. */
  readonly types?: readonly KmsProviderType[] | undefined;
}

/**
 * The providers that the operator's `kms.json` configures; one provider of type `db` with id `db` where there is no
 * such file. Call it once, at start-up: whatever is wrong is thrown here and not at the first signature. Connects to
 * nothing.
 *
 * @throws KmsError `ERR_KMS_CONFIG` with the path of what is refused, `ERR_KMS_CONFIG_REFERENCE` with field and
 * variable, `ERR_KMS_CONFIG_UNREADABLE`, `ERR_KMS_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import type { Keyring } from '@keywright/envelope';
 * import { loadKmsRegistry } from '@keywright/kms';
 * import type { Knex } from 'knex';
 *
 * export async function start(knex: Knex, root: Keyring) {
 *   const registry = await loadKmsRegistry({ knex, root }); // <CONFIG_FOLDER>/kms.json
 *   return registry.provider();
 * }
 * ```
 */
export async function loadKmsRegistry(options: LoadKmsRegistryOptions = {}): Promise<KmsRegistry> {
  const { place, env, types, services } = readOptions(options, 'options', checkLoadOptions);
  const registered = registerTypes(types);
  const read = place === undefined ? undefined : await readConfigFile(place);
  if (read === undefined) {
    tellOfDefault(services.logger);
    return assemble(DEFAULT_CONFIG, registered, services);
  }
  const { config, written } = await resolveReferences(plainCopy(read), env, registered);
  return assemble(config, registered, services, written);
}

/** A logger that throws is not the caller's concern. */
function tellOfDefault(logger: ProviderServices['logger']): void {
  try {
    logger?.info('@keywright/kms: there is no kms.json, so keys are in the database (provider db)');
  } catch {
    // nowhere to say it
  }
}

function checkLoadOptions(given: LoadKmsRegistryOptions): {
  readonly place: ConfigPlace | undefined;
  readonly env: Environment;
  readonly types: readonly KmsProviderType[] | undefined;
  readonly services: ProviderServices;
} {
  const { env = process.env, types } = given;
  if (typeof env !== 'object' || env === null) throw invalidArgument('env', 'an object', kindOf(env));
  return { place: placeOf(given, env), env, types, services: servicesOf(given) };
}

function placeOf({ file, folder }: LoadKmsRegistryOptions, env: Environment): ConfigPlace | undefined {
  if (file !== undefined) {
    if (folder !== undefined) throw invalidArgument('file', 'either file or folder', 'both');
    return { file: checkPath(file, 'file') };
  }
  if (folder !== undefined) return { folder: checkPath(folder, 'folder') };
  const named = Object.hasOwn(env, 'CONFIG_FOLDER') ? env.CONFIG_FOLDER : undefined;
  return named === undefined || named === '' ? undefined : { folder: checkPath(named, 'env.CONFIG_FOLDER') };
}

function checkPath(path: unknown, argument: string): string {
  if (typeof path === 'string' && path !== '') return path;
  throw invalidArgument(argument, 'a path', kindOf(path));
}
