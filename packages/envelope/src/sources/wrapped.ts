import type { EncryptionContext } from '../context.ts';
import { KeyringError } from '../errors.ts';
import { base64Decode } from '../internal/base64.ts';
import type { KeyWrapper, WrappedKey } from '../key-wrapper.ts';
import { checkKid, keyBytes } from '../keys.ts';
import { describe } from '../keywright-error.ts';
import { tooLarge } from './content.ts';
import { checkMethods, checkOptions, checkText, defineSource } from './define.ts';
import { KeySourceError, type KeySourceErrorCode } from './errors.ts';
import { decodeMaterial, withContext } from './material.ts';
import { networkCode } from './sdk.ts';
import { type KeyMaterial, type KeySource, MAX_SECRET_BYTES, type TimeLimit } from './source.ts';
import { hasDuplicateNames, isObject, parseJson } from './strict-json.ts';

const NAME = 'wrapped';
const MAX_KEYS = 64; // each is a call of the KMS

export interface WrappedSourceOptions extends TimeLimit {
  /** What unwraps: a KMS, an HSM, another keyring. */
  readonly wrapper: KeyWrapper;
  /**
   * Which keyring this is. It is bound into every wrapped key, so that a key of one cannot be passed off as another's.
   */
  readonly keyring: string;
}

/** The wrapped form of keys: text that may lie in a configuration file, since only the wrapper opens it. */
export type WrappedDocument = string | ((options: { signal: AbortSignal }) => string | Promise<string>);

/**
 * Keys that are stored wrapped by a KMS or an HSM, so that the keyring works locally and its keys are opened by the KMS
 * at start-up only. Make the document with {@link wrapKeyMaterial}.
 *
 * Each key is bound to this keyring's name and to its kid: a document edited to swap two keys doesn't open.
 *
 * @throws KeySourceError `ERR_KEY_SOURCE_CONFIG`; at load also `_CONTENT_INVALID`, `_TIMEOUT`, `_UNREACHABLE`; and what
 * the wrapper throws: EnvelopeError `ERR_ENVELOPE_DECRYPT`, KeyringError `ERR_KEYRING_KID_UNKNOWN`
 *
 * @example
 * ```ts
 * import { createKeyring, generateKeyBase64, type KeyWrapper } from '@keywright/envelope';
 * import { loadKeyring, wrapKeyMaterial, wrappedSource } from '@keywright/envelope/sources';
 *
 * const wrapper: KeyWrapper = createKeyring({ keys: { root: generateKeyBase64() }, activeKid: 'root' }); // or a KMS
 * const options = { wrapper, keyring: 'acme' };
 * const document = await wrapKeyMaterial({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' }, options); // once
 * const keyring = await loadKeyring(wrappedSource(document, options));
 * keyring.activeKid; // 'v1'
 * ```
 */
export function wrappedSource(document: WrappedDocument, options: WrappedSourceOptions): KeySource {
  const { wrapper, keyring } = checkWrapping(options, 'unwrapKey');
  if (typeof document !== 'function') checkText(NAME, 'document', document);
  return defineSource({
    name: NAME,
    timeoutMs: options.timeoutMs,
    classify,
    async read(signal) {
      const { activeKid, keys } = parseDocument(typeof document === 'function' ? await document({ signal }) : document);
      const opened: [string, Uint8Array][] = [];
      try {
        for (const [kid, wrapped] of keys) {
          const key = await wrapper.unwrapKey(wrapped, { context: contextOf(keyring, kid), signal });
          // What a wrapper hands out stays its own: it may wipe it next, or give it to somebody else too.
          opened.push([kid, keyBytes(key, kid)]);
          signal.throwIfAborted();
        }
        return decodeMaterial(opened, activeKid, { driver: NAME });
      } catch (error) {
        throw withContext(error, { driver: NAME });
      } finally {
        for (const [, key] of opened) key.fill(0);
      }
    },
  });
}

/**
 * The document that {@link wrappedSource} reads: JSON of `activeKid` and of each key under the wrapper's active key.
 * @throws KeyringError for keys that a keyring would refuse; KeySourceError `ERR_KEY_SOURCE_CONFIG`
 */
export async function wrapKeyMaterial(
  material: KeyMaterial,
  options: Pick<WrappedSourceOptions, 'wrapper' | 'keyring'>,
): Promise<string> {
  const { wrapper, keyring } = checkWrapping(options, 'wrapKey');
  checkOptions(NAME, checkOptions(NAME, material, 'material').keys, 'material.keys');
  const keys: [string, { kid: string; wrapped: string }][] = [];
  for (const [kid, key] of Object.entries(material.keys)) {
    const bytes = keyBytes(key, checkKid(kid));
    try {
      const { kid: root, wrapped } = await wrapper.wrapKey(bytes, { context: contextOf(keyring, kid) });
      keys.push([kid, { kid: root, wrapped: Buffer.from(wrapped).toString('base64') }]);
    } finally {
      bytes.fill(0);
    }
  }
  const { activeKid } = material;
  if (!keys.some(([kid]) => kid === activeKid)) {
    throw new KeyringError('ERR_KEYRING_KID_UNKNOWN', { context: { driver: NAME, kid: String(activeKid) } });
  }
  return JSON.stringify({ activeKid, keys: Object.fromEntries(keys) });
}

function contextOf(keyring: string, kid: string): EncryptionContext {
  return { kind: 'keyring-key', keyring, key: kid };
}

function checkWrapping<T extends Pick<WrappedSourceOptions, 'wrapper' | 'keyring'>>(
  options: T,
  method: 'wrapKey' | 'unwrapKey',
): T {
  checkText(NAME, 'keyring', checkOptions(NAME, options).keyring);
  checkMethods(NAME, 'wrapper', options.wrapper, method);
  return options;
}

function parseDocument(text: unknown): { activeKid: string; keys: [string, WrappedKey][] } {
  if (typeof text !== 'string') throw invalid('document', 'a string', describe(text));
  if (text.length > MAX_SECRET_BYTES) throw tooLarge(NAME);
  const parsed = parseJson(text);
  if (!isObject(parsed)) throw invalid('document', 'a JSON object', 'something else');
  if (hasDuplicateNames(text)) throw new KeyringError('ERR_KEYRING_KID_DUPLICATE', { context: { driver: NAME } });
  const { activeKid, keys, ...unknown } = parsed;
  if (Object.keys(unknown).length > 0) throw invalid('document', 'activeKid and keys', 'other members');
  if (typeof activeKid !== 'string') throw invalid('activeKid', 'a kid of the map', describe(activeKid));
  if (!isObject(keys) || Object.keys(keys).length > MAX_KEYS)
    throw invalid('keys', `at most ${MAX_KEYS} keys`, describe(keys));
  return { activeKid, keys: Object.entries(keys).map(([kid, key]) => [checkKid(kid), wrappedKey(key)]) };
}

function wrappedKey(value: unknown): WrappedKey {
  const { kid, wrapped, ...unknown } = isObject(value) ? value : {};
  const bytes = typeof wrapped === 'string' ? base64Decode(wrapped) : undefined;
  if (typeof kid === 'string' && kid !== '' && bytes !== undefined && Object.keys(unknown).length === 0) {
    return { kid, wrapped: bytes };
  }
  throw invalid('keys', 'kid and wrapped (base64) of each', describe(value));
}

function invalid(field: string, expected: string, received: string): KeySourceError {
  const context = { driver: NAME, field, expected, received };
  return new KeySourceError('ERR_KEY_SOURCE_CONTENT_INVALID', { context });
}

function classify(error: unknown): KeySourceErrorCode {
  return networkCode(error) ?? 'ERR_KEY_SOURCE_INVALID_RESPONSE';
}
