import { createKeyring, type Keyring, type KeyringOptions } from '../keyring.ts';
import { describe } from '../keywright-error.ts';
import { checkOptions } from './define.ts';
import { KeySourceError } from './errors.ts';
import { wipeMaterial, withContext } from './material.ts';
import type { KeyMaterial, KeySource, LoadOptions } from './source.ts';
import { isObject } from './strict-json.ts';

/** What {@link loadKeyring} takes besides the source. */
export interface LoadKeyringOptions extends KeyringOptions, LoadOptions {}

/**
 * A keyring from a source. Call it once, at start-up, and let what it throws end the process: there is no other source
 * to fall back to, and no keyring without keys.
 *
 * @throws KeySourceError, KeyringError
 *
 * @example
 * ```ts
 * import { loadKeyring, vaultKvSource } from '@keywright/envelope/sources';
 *
 * export async function startUp() {
 *   const source = vaultKvSource({
 *     address: 'https://vault.example.com:8200',
 *     path: 'secret/data/acme/encryption-key',
 *     auth: { kubernetes: { role: 'acme' } },
 *   });
 *   return loadKeyring(source);
 * }
 * ```
 */
export async function loadKeyring(source: KeySource, options: LoadKeyringOptions = {}): Promise<Keyring> {
  const { signal, ...rest } = checkOptions('keyring', options);
  const material = await loadMaterial(source, signal);
  try {
    return createKeyring({ ...rest, keys: material.keys, activeKid: material.activeKid });
  } catch (error) {
    throw withContext(error, { driver: source.name });
  } finally {
    wipeMaterial(material);
  }
}

/** Loads from a source that may be anybody's. */
export async function loadMaterial(source: KeySource, signal: AbortSignal | undefined): Promise<KeyMaterial> {
  if (typeof source?.load !== 'function') {
    throw new KeySourceError('ERR_KEY_SOURCE_CONFIG', {
      context: { argument: 'source', expected: 'a key source', received: describe(source) },
    });
  }
  const material: unknown = await source.load({ signal });
  if (isObject(material) && isObject(material.keys)) return material as unknown as KeyMaterial;
  throw new KeySourceError('ERR_KEY_SOURCE_INVALID_RESPONSE', {
    context: { driver: source.name, expected: 'an object with keys and activeKid', received: describe(material) },
  });
}
