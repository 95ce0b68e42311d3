import { KmsError, type KmsErrorCode } from '../../errors.ts';
import type { JsonAnswer } from '../../internal/json-http.ts';
import { withRetryAfter } from '../../internal/retry-after.ts';

/** Transit tells apart by text what it answers with 400 and 500. */
const TEXTS: readonly (readonly [RegExp, KmsErrorCode])[] = [
  [
    /(?:signing|encryption) key not found|no existing key named|could not delete key; not found/,
    'ERR_KMS_KEY_NOT_FOUND',
  ],
  [/requested version for signing is higher/, 'ERR_KMS_KEY_NOT_FOUND'],
  [/less than the minimum encryption key version|disallowed by policy|soft.?deleted/, 'ERR_KMS_KEY_NOT_USABLE'],
  [/does not support signing|not supported for key type|does not contain a private part/, 'ERR_KMS_KEY_NOT_USABLE'],
  [/import path cannot be used with an existing key/, 'ERR_KMS_KEY_EXISTS'],
];

const CODES: Readonly<Record<number, KmsErrorCode>> = Object.freeze({
  401: 'ERR_KMS_CREDENTIALS',
  403: 'ERR_KMS_DENIED',
  405: 'ERR_KMS_UNSUPPORTED',
  412: 'ERR_KMS_UNAVAILABLE', // a replica that hasn't caught up
  429: 'ERR_KMS_THROTTLED',
  472: 'ERR_KMS_UNAVAILABLE', // a standby for disaster recovery
  473: 'ERR_KMS_UNAVAILABLE', // a performance standby
});

/**
 * The error that an answer without success stands for. What Vault says of it is behind `rawCause` only, and nothing else
 * of the answer: it may hold a token.
 */
export function refusalOf(answer: JsonAnswer, code: KmsErrorCode = codeOf(answer), operation?: string): KmsError {
  const { status, retryAfter } = answer;
  const context = { status, ...(operation === undefined ? {} : { operation }) };
  const cause = { name: 'VaultAnswer', status, errors: textOf(answer) };
  return withRetryAfter(new KmsError(code, { context, cause }), retryAfter);
}

function codeOf(answer: JsonAnswer): KmsErrorCode {
  const { status } = answer;
  const text = textOf(answer);
  const told = TEXTS.find(([pattern]) => pattern.test(text));
  if (told !== undefined) return told[1];
  // A proxy, or an address that leads elsewhere, answers 404 too: then it is not Vault that knows no such key.
  if (status === 404) {
    return saysNoKey(answer) || saysNoMount(answer) ? 'ERR_KMS_KEY_NOT_FOUND' : 'ERR_KMS_INVALID_RESPONSE';
  }
  return CODES[status] ?? (status >= 500 ? 'ERR_KMS_UNAVAILABLE' : 'ERR_KMS_BACKEND');
}

/** Whether there is no secrets engine at the path: not the same as one that has no such key. */
export function saysNoMount(answer: JsonAnswer): boolean {
  return answer.status === 404 && /no handler for route/.test(textOf(answer));
}

/** Whether there is an engine, and no such key in it: then Vault says nothing, but of a namespace that is missing. */
export function saysNoKey({ status, json }: JsonAnswer): boolean {
  const { errors } = Object(json) as { errors?: unknown };
  return status === 404 && Array.isArray(errors) && errors.length === 0;
}

/** Whether something is mounted at the path already. */
export function saysMounted(answer: JsonAnswer): boolean {
  return (answer.status === 400 || answer.status === 409) && /path is already in use/.test(textOf(answer));
}

/** What Vault says, to tell its refusals apart. Never shown: it may quote what it was sent. */
export function textOf({ json }: JsonAnswer): string {
  const { errors } = Object(json) as { errors?: unknown };
  return Array.isArray(errors) ? errors.filter((error) => typeof error === 'string').join('\n') : '';
}

export function invalidResponse({ status }: JsonAnswer, expected: string): KmsError {
  return new KmsError('ERR_KMS_INVALID_RESPONSE', { context: { status, expected } });
}
