import { KmsError, type KmsErrorCode } from '@keywright/kms';
import { AnswerTooLarge } from './answer-size.ts';

/** What AWS KMS, IAM and the SDK call their errors. */
const CODES: ReadonlyMap<string, KmsErrorCode> = new Map([
  ['NotFoundException', 'ERR_KMS_KEY_NOT_FOUND'],
  ['AlreadyExistsException', 'ERR_KMS_KEY_EXISTS'],
  ['DisabledException', 'ERR_KMS_KEY_NOT_USABLE'],
  // Pending deletion, pending import, being made.
  ['KMSInvalidStateException', 'ERR_KMS_KEY_NOT_USABLE'],
  ['InvalidKeyUsageException', 'ERR_KMS_KEY_NOT_USABLE'],
  ['AccessDeniedException', 'ERR_KMS_DENIED'],
  ['AccessDenied', 'ERR_KMS_DENIED'],
  ['NotAuthorizedException', 'ERR_KMS_DENIED'],
  ['NotAuthorized', 'ERR_KMS_DENIED'],
  ['OptInRequired', 'ERR_KMS_DENIED'],
  ['ThrottlingException', 'ERR_KMS_THROTTLED'],
  ['Throttling', 'ERR_KMS_THROTTLED'],
  ['ThrottledException', 'ERR_KMS_THROTTLED'],
  ['RequestLimitExceeded', 'ERR_KMS_THROTTLED'],
  ['TooManyRequestsException', 'ERR_KMS_THROTTLED'],
  ['LimitExceededException', 'ERR_KMS_THROTTLED'],
  ['KMSInternalException', 'ERR_KMS_UNAVAILABLE'],
  ['KMSInternal', 'ERR_KMS_UNAVAILABLE'],
  ['InternalFailure', 'ERR_KMS_UNAVAILABLE'],
  ['InternalServerError', 'ERR_KMS_UNAVAILABLE'],
  ['ServiceUnavailable', 'ERR_KMS_UNAVAILABLE'],
  ['ServiceUnavailableException', 'ERR_KMS_UNAVAILABLE'],
  ['DependencyTimeoutException', 'ERR_KMS_UNAVAILABLE'],
  ['KeyUnavailableException', 'ERR_KMS_UNAVAILABLE'],
  ['TimeoutError', 'ERR_KMS_TIMEOUT'],
  ['ExpiredTokenException', 'ERR_KMS_CREDENTIALS'],
  ['ExpiredToken', 'ERR_KMS_CREDENTIALS'],
  ['TokenRefreshRequired', 'ERR_KMS_CREDENTIALS'],
  ['InvalidClientTokenId', 'ERR_KMS_CREDENTIALS'],
  ['InvalidToken', 'ERR_KMS_CREDENTIALS'],
  ['InvalidAccessKeyId', 'ERR_KMS_CREDENTIALS'],
  ['UnrecognizedClientException', 'ERR_KMS_CREDENTIALS'],
  ['AuthFailure', 'ERR_KMS_CREDENTIALS'],
  ['IncompleteSignature', 'ERR_KMS_CREDENTIALS'],
  ['IncompleteSignatureException', 'ERR_KMS_CREDENTIALS'],
  ['InvalidSignatureException', 'ERR_KMS_CREDENTIALS'],
  ['SignatureDoesNotMatch', 'ERR_KMS_CREDENTIALS'],
  ['MissingAuthenticationToken', 'ERR_KMS_CREDENTIALS'],
  ['MissingAuthenticationTokenException', 'ERR_KMS_CREDENTIALS'],
  ['RequestExpired', 'ERR_KMS_CREDENTIALS'],
  ['RequestInTheFuture', 'ERR_KMS_CREDENTIALS'],
  ['RequestTimeTooSkewed', 'ERR_KMS_CREDENTIALS'],
  ['CredentialsProviderError', 'ERR_KMS_CREDENTIALS'],
  ['TokenProviderError', 'ERR_KMS_CREDENTIALS'],
  ['UnsupportedOperationException', 'ERR_KMS_UNSUPPORTED'],
]);

/** Refusals that asking again does not mend: quotas on what there is, not on how often is asked. */
const LASTING: ReadonlySet<string> = new Set(['LimitExceededException']);

const NETWORK = /^(?:E(?:CONN|NOTFOUND|AI_|HOST|NET|PIPE|TIMEDOUT|PROTO)|ERR_(?:SOCKET|STREAM|HTTP))/;
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|EPROTO/;

interface AwsError {
  readonly name: string;
  readonly code: string;
  readonly status: number | undefined;
  readonly clockSkewCorrected: boolean;
}

/** What an error of the SDK means. Its text, which names keys and accounts, is not passed on. */
export function awsError(error: unknown): KmsError {
  if (error instanceof KmsError) return error;
  const { name, code, status } = read(error);
  const isNoAnswer = error instanceof AnswerTooLarge || code.startsWith('HPE_');
  const named = isNoAnswer ? 'ERR_KMS_INVALID_RESPONSE' : CODES.get(name);
  const isCertificate = CERTIFICATE.test(code);
  const isNetwork = isCertificate || NETWORK.test(code);
  return new KmsError(named ?? (isNetwork ? 'ERR_KMS_UNAVAILABLE' : codeOfStatus(status, error)), {
    context: status === undefined ? {} : { status },
    ...(isCertificate || LASTING.has(name) ? { retryable: false } : {}),
    cause: error,
  });
}

/** Whether a request was refused for its time only, and the SDK has learnt the server's time from the refusal. */
export function isCorrectedClock(error: unknown): boolean {
  const { name, clockSkewCorrected } = read(error);
  return clockSkewCorrected && CODES.get(name) === 'ERR_KMS_CREDENTIALS';
}

/** Whether a ciphertext was refused: changed, of another context, or of another key. */
export function isWrongCiphertext(error: unknown): boolean {
  const { name } = read(error);
  return name === 'InvalidCiphertextException' || name === 'IncorrectKeyException';
}

function codeOfStatus(status: number | undefined, error: unknown): KmsErrorCode {
  if (status === undefined) return error instanceof SyntaxError ? 'ERR_KMS_INVALID_RESPONSE' : 'ERR_KMS_BACKEND';
  if (status === 401) return 'ERR_KMS_CREDENTIALS';
  if (status === 403) return 'ERR_KMS_DENIED';
  if (status === 429) return 'ERR_KMS_THROTTLED';
  if (status === 408 || status >= 500) return 'ERR_KMS_UNAVAILABLE';
  return status < 400 ? 'ERR_KMS_INVALID_RESPONSE' : 'ERR_KMS_BACKEND';
}

function read(error: unknown): AwsError {
  const { name, code, $metadata, $response } = Object(error) as {
    name?: unknown;
    code?: unknown;
    $metadata?: { httpStatusCode?: unknown; clockSkewCorrected?: unknown };
    $response?: { statusCode?: unknown };
  };
  const status = $metadata?.httpStatusCode ?? $response?.statusCode;
  return {
    name: typeof name === 'string' ? name : '',
    code: typeof code === 'string' ? code : '',
    status: typeof status === 'number' ? status : undefined,
    clockSkewCorrected: $metadata?.clockSkewCorrected === true,
  };
}
