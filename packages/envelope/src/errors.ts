import { KeywrightError, type KeywrightErrorOptions } from './keywright-error.ts';

const ENVELOPE_MESSAGES = {
  ERR_ENVELOPE_DECRYPT:
    'The envelope could not be decrypted. It was changed, belongs to another context, or was made under another key.',
  ERR_ENVELOPE_NOT_ENCRYPTED:
    'The value is not a Keywright envelope. If it is the JSON text of one, parse it; else encrypt it first, or read the column it really came from.',
  ERR_ENVELOPE_UNSUPPORTED_VERSION:
    'The envelope has a version or suite that this release does not know. Upgrade @keywright/envelope.',
  ERR_ENVELOPE_MALFORMED:
    'The value is marked as an envelope, but a field is missing, unknown or of the wrong type. Restore it from a backup.',
  ERR_ENVELOPE_VERSION_REFUSED:
    'The value is a version 1 envelope, which is bound to no context, and this keyring was told to refuse those. Encrypt it again as version 2, or allow version 1 until that is done.',
  ERR_ENVELOPE_LIBSODIUM_MISSING:
    'The package libsodium-wrappers could not be loaded. Install it beside @keywright/envelope, or pass a loaded libsodium.',
  ERR_ENVELOPE_INVALID_CONTEXT:
    'The encryption context must be a plain object of well-formed strings. Pass the same pairs when encrypting and when decrypting; an empty context is written as {}.',
  ERR_ENVELOPE_INVALID_VALUE:
    'The value cannot be encrypted in this form. Pass a value that JSON can represent, or bytes where bytes are asked for.',
} as const;

const KEYRING_MESSAGES = {
  ERR_KEYRING_INVALID_ARGUMENT: 'An argument is missing or not of the form it must have. The context names it.',
  ERR_KEYRING_KEY_MISSING:
    'No encryption key is configured. Make one with `npx --package @keywright/envelope keywright-keygen` and set it in the environment; nothing is stored without it.',
  ERR_KEYRING_KEY_INVALID:
    'An encryption key must be 32 bytes, given as padded base64 (44 characters), as hex (64 characters) or as a Uint8Array. Make one with `npx --package @keywright/envelope keywright-keygen`.',
  ERR_KEYRING_KEY_DUPLICATE:
    'The same key is given under two ids (kid). A rotation needs a new key; keep one id for each.',
  ERR_KEYRING_KID_INVALID: 'A key id (kid) must have 1 to 64 characters out of A-Z, a-z, 0-9, "_" and "-".',
  ERR_KEYRING_KID_DUPLICATE: 'A key id (kid) is given twice. Give every key an id of its own and never reuse one.',
  ERR_KEYRING_KID_UNKNOWN:
    'The keyring holds no key with this id (kid). Add the key it names; a key must stay in the keyring as long as anything is encrypted under it.',
  ERR_KEYRING_KEY_NOT_USABLE:
    'The key is disabled or destroyed and may not be used. Enable it again if it was disabled; what a destroyed key encrypted is gone.',
  ERR_KEYRING_KEY_EXHAUSTED:
    'The key has made 2^32 version 1 envelopes, the most that random nonces allow. Activate a new key.',
  ERR_KEYRING_SUITE_MISSING:
    'The envelope was made with a suite that this keyring was not given. Pass the suite to the keyring as `suites`.',
  ERR_KEYRING_STATE_CONFLICT:
    'The key cannot change to this state from the one it is in. Activate another key before taking the active one out of use.',
  ERR_KEYRING_ENV_CONFLICT:
    'Both forms of key configuration are set. Keep either the single key (_KEY, _KID) or the rotation form (_KEYS, _ACTIVE_KID).',
  ERR_KEYRING_ENV_INVALID:
    'The environment variable does not hold what it must. _KEYS is a JSON object of kid to key, _ACTIVE_KID names one of its kids.',
} as const;

/** Stable codes of {@link EnvelopeError}. */
export type EnvelopeErrorCode = keyof typeof ENVELOPE_MESSAGES;
/** Stable codes of {@link KeyringError}. */
export type KeyringErrorCode = keyof typeof KEYRING_MESSAGES;

/** An envelope, its context or the value that was to go into one is refused. */
export class EnvelopeError extends KeywrightError<EnvelopeErrorCode> {
  constructor(code: EnvelopeErrorCode, options: KeywrightErrorOptions = {}) {
    super(code, ENVELOPE_MESSAGES[code], false, options);
  }
}
// Not in a static block: bundlers rename a class that speaks of itself.
Object.defineProperty(EnvelopeError.prototype, 'name', { value: 'EnvelopeError' });

/** A key, a key id or the configuration of a keyring is refused. */
export class KeyringError extends KeywrightError<KeyringErrorCode> {
  constructor(code: KeyringErrorCode, options: KeywrightErrorOptions = {}) {
    super(code, KEYRING_MESSAGES[code], false, options);
  }
}
// Not in a static block: bundlers rename a class that speaks of itself.
Object.defineProperty(KeyringError.prototype, 'name', { value: 'KeyringError' });
