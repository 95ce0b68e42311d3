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

const KEY_SOURCE_MESSAGES = {
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

const COLUMN_MESSAGES = {
  ERR_COLUMN_INVALID_ARGUMENT: 'An argument is missing or not of the form it must have. The context names it.',
  ERR_COLUMN_PLAINTEXT_REFUSED:
    "The column holds a value that is not encrypted. Encrypt the column's old values first, or read them with `legacy: 'allow'` until that is done.",
  ERR_COLUMN_V1_REFUSED:
    "The column holds a version 1 envelope, which is bound to no row, column or tenant. Encrypt it again as version 2, or read it with `v1: 'allow'` until that is done.",
  ERR_COLUMN_STORED_TYPE:
    "The database gave a value of another type than the codec's storage. Set `storage`, and `jsonAs` for a JSON column, to what the driver gives.",
  ERR_COLUMN_PAYLOAD_TYPE:
    "The stored value is not of the codec's payload type. Set `payload` to what the application really keeps in this column.",
  ERR_COLUMN_VALUE_AMBIGUOUS:
    "The value looks like an envelope and would not be read back if it were stored in the clear. It can be stored once the codec encrypts (`write: 'v2'`).",
  ERR_COLUMN_ROW_KEY_MISSING:
    'The value is bound to its row, and the primary key is not known here. Assign the key before the row is written, and read its columns with the encrypted one.',
  ERR_COLUMN_ROW_KEY_INVALID:
    'A primary key that a value is bound to must be made of non-empty strings, safe integers and bigints. Pass other types as the text that the database shows.',
  ERR_COLUMN_TENANT_MISSING:
    'The value is bound to a tenant, and none is known here. Run the work inside withContext({ tenant }, …), or pass the tenant.',
  ERR_COLUMN_STATEMENT_REFUSED:
    'The statement uses an encrypted column in a way that cannot be encrypted or decrypted here. Write plain values, select the column itself, and compare it with nothing but null.',
} as const;

/** What may succeed when it is tried again unchanged. */
const RETRYABLE: ReadonlySet<string> = new Set(['ERR_KEY_SOURCE_UNREACHABLE', 'ERR_KEY_SOURCE_TIMEOUT']);

/** Stable codes of {@link EnvelopeError}. */
export type EnvelopeErrorCode = keyof typeof ENVELOPE_MESSAGES;
/** Stable codes of {@link KeyringError}. */
export type KeyringErrorCode = keyof typeof KEYRING_MESSAGES;

/** Stable codes of {@link KeySourceError}. */
export type KeySourceErrorCode = keyof typeof KEY_SOURCE_MESSAGES;

/** Stable codes of {@link ColumnError}. */
export type ColumnErrorCode = keyof typeof COLUMN_MESSAGES;

/** An envelope, its context or the value that was to go into one is refused. */
export class EnvelopeError extends KeywrightError<EnvelopeErrorCode> {
  static {
    Object.defineProperty(EnvelopeError.prototype, 'name', { value: 'EnvelopeError' });
  }

  constructor(code: EnvelopeErrorCode, options: KeywrightErrorOptions = {}) {
    super(code, ENVELOPE_MESSAGES[code], false, options);
  }
}

/** A key, a key id or the configuration of a keyring is refused. */
export class KeyringError extends KeywrightError<KeyringErrorCode> {
  static {
    Object.defineProperty(KeyringError.prototype, 'name', { value: 'KeyringError' });
  }

  constructor(code: KeyringErrorCode, options: KeywrightErrorOptions = {}) {
    super(code, KEYRING_MESSAGES[code], false, options);
  }
}

/** Keys could not be had from where they are kept. `context.driver` names the source. */
export class KeySourceError extends KeywrightError<KeySourceErrorCode> {
  static {
    Object.defineProperty(KeySourceError.prototype, 'name', { value: 'KeySourceError' });
  }

  constructor(code: KeySourceErrorCode, options: KeywrightErrorOptions = {}) {
    super(code, KEY_SOURCE_MESSAGES[code], RETRYABLE.has(code), options);
  }
}

/** A value cannot pass through a column codec. `context.table` and `context.field` name the column. */
export class ColumnError extends KeywrightError<ColumnErrorCode> {
  static {
    Object.defineProperty(ColumnError.prototype, 'name', { value: 'ColumnError' });
  }

  constructor(code: ColumnErrorCode, options: KeywrightErrorOptions = {}) {
    super(code, COLUMN_MESSAGES[code], false, options);
  }
}
