import { isKeywrightError, rawCause } from '@keywright/envelope';
import { KmsError, type KmsErrorCode } from '../errors.ts';
import type { KmsKey } from '../provider.ts';
import { EXTERNAL_ID, EXTERNAL_VERSION } from './key-record.ts';

/** Refusals after which a backend has done nothing. After any other failure, it may have. */
const NOTHING_DONE: ReadonlySet<string> = new Set<KmsErrorCode>([
  'ERR_KMS_INVALID_ARGUMENT',
  'ERR_KMS_UNSUPPORTED',
  'ERR_KMS_PROVIDER_UNKNOWN',
  'ERR_KMS_DENIED',
  'ERR_KMS_CREDENTIALS',
  'ERR_KMS_PIN_LOCKED',
  'ERR_KMS_THROTTLED',
  'ERR_KMS_LIBRARY_MISSING',
]);

/** Failures that the next call to the same backend would meet too, or that must not be met again. */
const BACKEND_AWAY: ReadonlySet<string> = new Set<KmsErrorCode>([
  'ERR_KMS_UNAVAILABLE',
  'ERR_KMS_TIMEOUT',
  'ERR_KMS_CREDENTIALS',
  'ERR_KMS_PIN_LOCKED',
  'ERR_KMS_LIBRARY_MISSING',
  'ERR_KMS_CLOSED',
  'ERR_KMS_PROVIDER_UNKNOWN',
]);

/** A refusal that tells of a `state` came after something had been made and could not be undone. */
export function nothingWasDone(error: unknown): boolean {
  return isKeywrightError(error) && NOTHING_DONE.has(error.code) && error.context.state === undefined;
}

/** The key as a backend answered, if the tables can hold where it is. @throws KmsError `ERR_KMS_INVALID_RESPONSE` */
export function checkMade(key: KmsKey): KmsKey {
  const { externalId, externalVersion } = key;
  const isVersion =
    externalVersion === null || (typeof externalVersion === 'string' && EXTERNAL_VERSION.test(externalVersion));
  if (typeof externalId === 'string' && EXTERNAL_ID.test(externalId) && isVersion) return key;
  throw new KmsError('ERR_KMS_INVALID_RESPONSE', {
    context: { expected: 'an id of at most 512 characters and its version' },
  });
}

export function backendIsAway(error: unknown): boolean {
  return BACKEND_AWAY.has(codeOf(error));
}

/** The stable code of whatever a provider threw; third parties' providers may throw anything. */
export function codeOf(error: unknown): string {
  return isKeywrightError(error) ? error.code : 'ERR_KMS_BACKEND';
}

/** What a provider threw, with the key that it was about. */
export function aboutKey(
  error: unknown,
  key: { readonly tenantId: string; readonly keyId: string; readonly providerId: string },
  operation: string,
  more: { readonly state?: string; readonly retryable?: boolean } = {},
): Error {
  const context = { operation, provider: key.providerId, tenantId: key.tenantId, keyId: key.keyId };
  const state = more.state === undefined ? {} : { state: more.state };
  if (!isKeywrightError(error)) {
    return new KmsError('ERR_KMS_BACKEND', { context: { ...context, ...state }, cause: error });
  }
  if (!(error instanceof KmsError)) return error;
  return new KmsError(error.code, {
    context: { ...error.context, ...context, ...state },
    retryable: more.retryable ?? error.retryable,
    cause: rawCause(error),
  });
}
