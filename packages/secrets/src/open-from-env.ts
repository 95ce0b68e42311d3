import { keyringFromEnv } from '@keywright/envelope';
import type { Knex } from 'knex';
import { readOptions } from './arguments.ts';
import { type KnexFromEnvOptions, knexFromEnv, readDatabaseSettings } from './environment.ts';
import { checkOptions, type SecretStoreOptions } from './options.ts';
import { SecretStore } from './store.ts';

/** Options of {@link openSecretStoreFromEnv}. */
export interface OpenFromEnvOptions
  extends KnexFromEnvOptions,
    Partial<Omit<SecretStoreOptions, 'knex' | 'auditKnex'>> {}

/** A store on a knex instance of its own. */
class OwningStore extends SecretStore {
  readonly #knex: Knex;

  constructor(options: SecretStoreOptions) {
    super(options);
    this.#knex = options.knex;
  }

  override async close(): Promise<void> {
    try {
      await super.close();
    } finally {
      await this.#knex.destroy();
    }
  }
}

/**
 * A store that is ready, all of it from environment variables: the database as {@link knexFromEnv} reads it, the root
 * key as `keyringFromEnv` of `@keywright/envelope` does, unless `root` is given. Migrations run first, unless
 * `DB_MIGRATIONS_RUN` is `false`. `close()` closes the database too.
 *
 * @throws SecretsError `ERR_SECRETS_CONFIGURATION`, and what `migrate()` and `ready()` throw; nothing is left open then
 * @throws KeyringError as `keyringFromEnv` does
 *
 * @example
 * ```ts
 * import { openSecretStoreFromEnv } from '@keywright/secrets';
 *
 * const store = await openSecretStoreFromEnv(); // KEYWRIGHT_KEY, DB_TYPE, …
 * await store.tenant('acme', { actor: 'user:42' }).save('stripe', 'sk_test_1');
 * await store.close();
 * ```
 */
export async function openSecretStoreFromEnv(options: OpenFromEnvOptions = {}): Promise<SecretStore> {
  const { env = process.env, config, root, ...rest } = readOptions(options, 'options', (given) => ({ ...given }));
  const { migrationsRun } = readDatabaseSettings(env);
  const keyring = root ?? keyringFromEnv({ env });
  const knex = knexFromEnv({ env, config });
  let store: SecretStore | undefined;
  try {
    store = new OwningStore(checkOptions({ ...rest, knex, root: keyring }));
    if (migrationsRun) await store.migrate();
    await store.ready();
    return store;
  } catch (error) {
    await (store ?? { close: () => knex.destroy() }).close();
    throw error;
  }
}
