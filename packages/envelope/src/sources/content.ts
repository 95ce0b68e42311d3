import { KeyringError } from '../errors.ts';
import { describe } from '../keywright-error.ts';
import { KeySourceError } from './errors.ts';
import { decodeMaterial } from './material.ts';
import { type KeyMaterial, MAX_SECRET_BYTES } from './source.ts';
import { hasDuplicateNames, isObject, parseJson } from './strict-json.ts';

export const DEFAULT_KID = 'v1';

/**
 * Reads the content of a secret, one form for every source:
 * - one key as base64 or hex, its id being `kid`;
 * - JSON `{ "key": key, "kid"?: kid }`, the same in an object;
 * - JSON `{ "activeKid": kid, "keys": { kid: key, … } }`, a rotation. `keys` may be the JSON text of the map, as
 *   `vault kv put` writes it.
 *
 * Unknown members and names given twice are refused.
 *
 * @throws KeySourceError `ERR_KEY_SOURCE_CONTENT_INVALID`, `ERR_KEY_SOURCE_TOO_LARGE`; KeyringError as
 * {@link decodeMaterial}, and `ERR_KEYRING_KID_DUPLICATE`
 */
export function parseContent(text: string, driver: string, kid: string = DEFAULT_KID): KeyMaterial {
  if (text.length > MAX_SECRET_BYTES) throw tooLarge(driver);
  const trimmed = text.trim();
  if (trimmed === '') throw new KeyringError('ERR_KEYRING_KEY_MISSING', { context: { driver } });
  if (!trimmed.startsWith('{')) return decodeMaterial([[kid, trimmed]], kid, { driver });
  return contentOf(strictObject(trimmed, driver), driver, kid);
}

/** {@link parseContent} for what a service hands out as a JSON object already. */
export function contentOf(object: Record<string, unknown>, driver: string, kid: string = DEFAULT_KID): KeyMaterial {
  const { key, kid: ownKid, keys, activeKid, ...unknown } = object;
  const single = key !== undefined;
  const misfits = single ? [keys, activeKid] : [ownKid];
  if (Object.keys(unknown).length > 0 || misfits.some((member) => member !== undefined)) {
    throw invalid(driver, 'content', 'key (and kid), or keys and activeKid', 'other members');
  }
  if (single) {
    if (ownKid !== undefined && typeof ownKid !== 'string') throw invalid(driver, 'kid', 'a string', describe(ownKid));
    return decodeMaterial([[ownKid ?? kid, typeof key === 'string' ? key.trim() : key]], ownKid ?? kid, { driver });
  }
  const map = typeof keys === 'string' ? strictObject(keys, driver) : keys;
  if (!isObject(map)) throw invalid(driver, 'keys', 'an object of kid to key', describe(keys));
  if (typeof activeKid !== 'string') throw invalid(driver, 'activeKid', 'a kid of the map', describe(activeKid));
  return decodeMaterial(Object.entries(map), activeKid, { driver });
}

export function tooLarge(driver: string): KeySourceError {
  return new KeySourceError('ERR_KEY_SOURCE_TOO_LARGE', { context: { driver, limit: MAX_SECRET_BYTES } });
}

function strictObject(text: string, driver: string): Record<string, unknown> {
  const parsed = parseJson(text);
  if (!isObject(parsed)) throw invalid(driver, 'content', 'a key or a JSON object', 'neither');
  if (hasDuplicateNames(text)) throw new KeyringError('ERR_KEYRING_KID_DUPLICATE', { context: { driver } });
  return parsed;
}

function invalid(driver: string, field: string, expected: string, received: string): KeySourceError {
  return new KeySourceError('ERR_KEY_SOURCE_CONTENT_INVALID', { context: { driver, field, expected, received } });
}
