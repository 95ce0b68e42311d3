import { KmsError, type KmsErrorCode } from '@keywright/kms';
import { CKR } from './constants.ts';

/** The return value (`CKR_…`) that an error of the binding stands for. */
export function returnValueOf(error: unknown): number | undefined {
  const { code } = (error ?? {}) as { code?: unknown };
  return error instanceof Error && typeof code === 'number' ? code : undefined;
}

/** Whether a call failed with one of these. */
export function failedWith(error: unknown, ...values: readonly number[]): boolean {
  const value = returnValueOf(error);
  return value !== undefined && values.includes(value);
}

/** The object that a handle stood for is gone. Tokens differ in which of the two they say. */
export function isStaleHandle(error: unknown): boolean {
  return failedWith(error, CKR.OBJECT_HANDLE_INVALID, CKR.KEY_HANDLE_INVALID);
}

/**
 * What was lost.
 * - `handle`: an object is not where it was; it may be found again.
 * - `operation`: one session is in another state than it should be; another one serves.
 * - `sessions`: all sessions, or the login; the token is there.
 * - `token`: the token or the way to it; the library may have to be started again.
 */
export type Loss = 'handle' | 'operation' | 'sessions' | 'token';

/** Thrown by work that finds out by itself that its token does not answer. */
export class TokenLost extends Error {
  override readonly name = 'TokenLost';
  readonly loss: Loss;

  constructor(loss: Loss, cause: unknown) {
    super('The token does not answer.', { cause });
    this.loss = loss;
  }
}

const LOSSES: ReadonlyMap<number, Loss> = new Map<number, Loss>([
  [CKR.KEY_HANDLE_INVALID, 'handle'],
  [CKR.OBJECT_HANDLE_INVALID, 'handle'],
  // The operation goes on, waiting for a larger buffer.
  [CKR.BUFFER_TOO_SMALL, 'operation'],
  [CKR.OPERATION_ACTIVE, 'operation'],
  [CKR.OPERATION_NOT_INITIALIZED, 'operation'],
  [CKR.SESSION_CLOSED, 'sessions'],
  [CKR.SESSION_HANDLE_INVALID, 'sessions'],
  [CKR.USER_NOT_LOGGED_IN, 'sessions'],
  [CKR.CRYPTOKI_NOT_INITIALIZED, 'sessions'],
  [CKR.DEVICE_ERROR, 'token'],
  [CKR.DEVICE_REMOVED, 'token'],
  [CKR.GENERAL_ERROR, 'token'],
  [CKR.SLOT_ID_INVALID, 'token'],
  [CKR.TOKEN_NOT_PRESENT, 'token'],
  [CKR.TOKEN_NOT_RECOGNIZED, 'token'],
]);

export function lossOf(error: unknown): Loss | undefined {
  if (error instanceof TokenLost) return error.loss;
  if (error instanceof AggregateError) return error.errors.map(lossOf).find((loss) => loss !== undefined);
  const value = returnValueOf(error);
  return value === undefined ? undefined : LOSSES.get(value);
}

const CODES: ReadonlyMap<number, KmsErrorCode> = new Map<number, KmsErrorCode>([
  [CKR.PIN_INCORRECT, 'ERR_KMS_CREDENTIALS'],
  [CKR.PIN_INVALID, 'ERR_KMS_CREDENTIALS'],
  [CKR.PIN_LEN_RANGE, 'ERR_KMS_CREDENTIALS'],
  [CKR.PIN_EXPIRED, 'ERR_KMS_CREDENTIALS'],
  [CKR.USER_PIN_NOT_INITIALIZED, 'ERR_KMS_CREDENTIALS'],
  [CKR.PIN_LOCKED, 'ERR_KMS_PIN_LOCKED'],
  [CKR.KEY_HANDLE_INVALID, 'ERR_KMS_KEY_NOT_FOUND'],
  [CKR.OBJECT_HANDLE_INVALID, 'ERR_KMS_KEY_NOT_FOUND'],
  [CKR.KEY_TYPE_INCONSISTENT, 'ERR_KMS_KEY_MISMATCH'],
  [CKR.KEY_SIZE_RANGE, 'ERR_KMS_KEY_MISMATCH'],
  [CKR.KEY_FUNCTION_NOT_PERMITTED, 'ERR_KMS_KEY_NOT_USABLE'],
  [CKR.MECHANISM_INVALID, 'ERR_KMS_UNSUPPORTED'],
  [CKR.MECHANISM_PARAM_INVALID, 'ERR_KMS_UNSUPPORTED'],
  [CKR.FUNCTION_NOT_SUPPORTED, 'ERR_KMS_UNSUPPORTED'],
  [CKR.CURVE_NOT_SUPPORTED, 'ERR_KMS_UNSUPPORTED'],
  [CKR.DOMAIN_PARAMS_INVALID, 'ERR_KMS_UNSUPPORTED'],
  [CKR.ACTION_PROHIBITED, 'ERR_KMS_DENIED'],
  [CKR.SESSION_READ_ONLY, 'ERR_KMS_DENIED'],
  [CKR.TOKEN_WRITE_PROTECTED, 'ERR_KMS_DENIED'],
  [CKR.SESSION_COUNT, 'ERR_KMS_THROTTLED'],
]);

/** A failure as the family names it, several by the first. What is no error of the binding is passed on. */
export function kmsErrorOf(error: unknown): unknown {
  if (error instanceof AggregateError) {
    const first = kmsErrorOf(error.errors[0]);
    return first instanceof KmsError ? new KmsError(first.code, { cause: error }) : first;
  }
  if (error instanceof TokenLost) return new KmsError('ERR_KMS_UNAVAILABLE', { cause: error.cause });
  const value = returnValueOf(error);
  if (value === undefined) return error;
  const loss = LOSSES.get(value);
  const code =
    CODES.get(value) ?? (loss === 'sessions' || loss === 'token' ? 'ERR_KMS_UNAVAILABLE' : 'ERR_KMS_BACKEND');
  return new KmsError(code, { cause: error });
}
