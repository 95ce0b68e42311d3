import { KmsError, type KmsErrorCode } from '../../errors.ts';
import type { JsonAnswer } from '../../internal/json-http.ts';
import { withRetryAfter } from '../../internal/retry-after.ts';

const CODES: Readonly<Record<number, KmsErrorCode>> = Object.freeze({
  401: 'ERR_KMS_CREDENTIALS',
  403: 'ERR_KMS_DENIED',
  404: 'ERR_KMS_KEY_NOT_FOUND',
  405: 'ERR_KMS_UNSUPPORTED',
  408: 'ERR_KMS_UNAVAILABLE',
  409: 'ERR_KMS_KEY_NOT_USABLE',
  410: 'ERR_KMS_KEY_NOT_FOUND',
  423: 'ERR_KMS_KEY_NOT_USABLE',
  429: 'ERR_KMS_THROTTLED',
  501: 'ERR_KMS_UNSUPPORTED',
});

/**
 * The error that an answer without success stands for. Of the answer it keeps the status alone: a service may send back
 * what it was sent.
 * @param special codes that mean something else for the operation; what 404 means, 410 does
 */
export function refusalOf(answer: JsonAnswer, special: Readonly<Record<number, KmsErrorCode>> = {}): KmsError {
  const { status, retryAfter } = answer;
  const code =
    special[status === 410 ? 404 : status] ??
    CODES[status] ??
    (status >= 500 ? 'ERR_KMS_UNAVAILABLE' : 'ERR_KMS_BACKEND');
  const cause = { name: 'HttpAnswer', status };
  return withRetryAfter(new KmsError(code, { context: { status }, cause }), retryAfter);
}

/**
 * Whether the service itself says that there is no such key: in JSON. A proxy, or an address that leads elsewhere,
 * answers 404 too, and a key must not count as deleted because of it.
 */
export function saysNoSuchKey({ status, json }: JsonAnswer): boolean {
  return (status === 404 || status === 410) && json !== undefined;
}
