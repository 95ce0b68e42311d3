import { checkOptions, defineSource } from './define.ts';
import { type KeyringFromEnvOptions, readVariables } from './env.ts';
import { decodeMaterial, withContext } from './material.ts';
import type { KeySource } from './source.ts';

const NAME = 'env';

/**
 * The variables of {@link keyringFromEnv} as a source, for code that takes any source. Each load reads them again.
 *
 * @example
 * ```ts
 * import { generateKeyBase64 } from '@keywright/envelope';
 * import { envSource, loadKeyring } from '@keywright/envelope/sources';
 *
 * const env = { KEYWRIGHT_KEY: generateKeyBase64() }; // in a service: process.env, the default
 * const keyring = await loadKeyring(envSource({ env }));
 * keyring.activeKid; // 'v1'
 * ```
 */
export function envSource(options: Pick<KeyringFromEnvOptions, 'prefix' | 'env'> = {}): KeySource {
  const { prefix, env } = checkOptions(NAME, options);
  return defineSource({
    name: NAME,
    timeoutMs: undefined,
    classify: () => 'ERR_KEY_SOURCE_INVALID_RESPONSE',
    async read() {
      try {
        const { variable, keys, activeKid } = readVariables(prefix, env);
        return decodeMaterial(Object.entries(keys), activeKid, { variable });
      } catch (error) {
        throw withContext(error, { driver: NAME });
      }
    },
  });
}
