export type { AuditSink, AuditSinkEntry, AuditSinkOptions } from './audit-sink.ts';
export type { EncryptionContext } from './context.ts';
export { type Envelope, type EnvelopeInfo, type EnvelopeV1, type EnvelopeV2, isEncrypted } from './envelope.ts';
export { EnvelopeError, type EnvelopeErrorCode, KeyringError, type KeyringErrorCode } from './errors.ts';
export { inspectEnvelope } from './inspect.ts';
export type { JsonInput, JsonValue } from './json.ts';
export type { KeyState, V1UseHook } from './key-entry.ts';
export type { KeyWrapper, WrapOptions, WrappedKey } from './key-wrapper.ts';
export {
  type ContextOptions,
  type CreateKeyringOptions,
  createKeyring,
  type KeyedMac,
  type Keyring,
  type KeyringOptions,
} from './keyring.ts';
export { generateKeyBase64 } from './keys.ts';
export {
  type ErrorContext,
  isKeywrightError,
  KeywrightError,
  type KeywrightErrorOptions,
  rawCause,
} from './keywright-error.ts';
export type { Logger } from './logger.ts';
export type { MacParts } from './mac.ts';
export { type DecryptOnceOptions, decryptBytesOnce } from './one-message.ts';
export { type KeyringFromEnvOptions, keyringFromEnv } from './sources/env.ts';
export type { Sealed, Suite, SuiteId, SuiteKey } from './suites/suite.ts';
