import { KeywrightError, type KeywrightErrorOptions } from '../keywright-error.ts';

const MESSAGES = {
  ERR_KEY_SOURCE_CONFIG:
    'The key source is not configured as it must be. The context names the argument or the variable; no other source is tried.',
  ERR_KEY_SOURCE_UNREACHABLE:
    'The key source could not be reached or cannot serve now. Check its address, its certificate and its health; no other source is tried.',
  ERR_KEY_SOURCE_TIMEOUT: 'The key source did not answer in time. Check its health, or raise timeoutMs.',
  ERR_KEY_SOURCE_ABORTED: 'The key source was told to stop before it had an answer.',
  ERR_KEY_SOURCE_NO_CREDENTIALS:
    'No identity was found to ask the key source with. Give the service a role, a managed identity or a service account that may read the secret.',
  ERR_KEY_SOURCE_DENIED: 'The key source refused this identity. Allow it to read exactly this secret.',
  ERR_KEY_SOURCE_NOT_FOUND:
    'The key source holds nothing under this name, or only a deleted version. Check the name, and the region or project it is looked for in.',
  ERR_KEY_SOURCE_INVALID_RESPONSE:
    'The key source answered in a form that it must not. Check that the address is really that of the service and its version is supported.',
  ERR_KEY_SOURCE_REDIRECTED:
    'The key source answered with a redirect, which is not followed: credentials go to the configured host only. Configure the final address.',
  ERR_KEY_SOURCE_CONTENT_INVALID:
    'The secret does not hold a key in a known form. Store one key (base64 or hex), or JSON with "activeKid" and "keys".',
  ERR_KEY_SOURCE_TOO_LARGE: 'The answer of the key source is larger than any set of keys. Nothing of it was used.',
  ERR_KEY_SOURCE_SDK_MISSING:
    'The SDK of this key source is not installed. It is an optional peer dependency: install the package that the context names.',
  ERR_KEY_SOURCE_FILE_PERMISSIONS:
    'The key file is open to others. It must belong to this user or root and be closed to group and others (chmod 600); in Kubernetes set defaultMode: 0400 on the volume.',
  ERR_KEY_SOURCE_NOT_FOR_PRODUCTION:
    'Deriving the key from a master secret is for development, and NODE_ENV is production. Use a secrets manager, or set allowInProduction.',
  ERR_KEY_SOURCE_WRONG_PASSPHRASE:
    'The passphrase does not give the key that these parameters were made for. Type it again, or use the parameters that belong to it.',
  ERR_KEY_SOURCE_KEY_CHANGED:
    'The source now holds other bytes under a key id (kid) that is in use. Nothing was changed. Give every new key a new id and restore the old one.',
} as const;

/** What may succeed when it is tried again unchanged. */
const RETRYABLE: ReadonlySet<string> = new Set(['ERR_KEY_SOURCE_UNREACHABLE', 'ERR_KEY_SOURCE_TIMEOUT']);

/** Stable codes of {@link KeySourceError}. */
export type KeySourceErrorCode = keyof typeof MESSAGES;

/** Keys could not be had from where they are kept. `context.driver` names the source. */
export class KeySourceError extends KeywrightError<KeySourceErrorCode> {
  constructor(code: KeySourceErrorCode, options: KeywrightErrorOptions = {}) {
    super(code, MESSAGES[code], RETRYABLE.has(code), options);
  }
}
// Not in a static block: bundlers rename a class that speaks of itself.
Object.defineProperty(KeySourceError.prototype, 'name', { value: 'KeySourceError' });
