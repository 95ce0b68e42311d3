import { randomBytes } from 'node:crypto';
import { isUint8Array } from 'node:util/types';
import { isKeywrightError } from '@keywright/envelope';
import { isSignAlg, type SignAlg } from './algorithms.ts';
import { KmsError } from './errors.ts';

const MAX_TENANT_ID = 255;
const CONTROL = /\p{Cc}/u;
const KEY_ID = /^[A-Za-z0-9._~-]{1,128}$/;
const PROVIDER_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const NAME = /^[0-9a-f]{32}$/;
/** Longest data that is signed, in bytes. */
export const MAX_DATA_BYTES: number = 16 * 1024 * 1024;
const MAX_TIMER_MS = 2 ** 31 - 1;

export function checkTenantId(tenantId: unknown, argument = 'tenantId'): string {
  const expected = `1 to ${MAX_TENANT_ID} characters without control characters`;
  if (typeof tenantId !== 'string') throw invalidArgument(argument, expected, kindOf(tenantId));
  if (tenantId.length === 0 || tenantId.length > MAX_TENANT_ID) {
    throw invalidArgument(argument, expected, `string of length ${tenantId.length}`);
  }
  if (CONTROL.test(tenantId) || !tenantId.isWellFormed()) throw invalidArgument(argument, expected, 'other characters');
  return tenantId;
}

export function checkKeyId(keyId: unknown, argument = 'keyId'): string {
  return checkPattern(keyId, KEY_ID, argument, '1 to 128 out of A-Z, a-z, 0-9, ".", "_", "~" and "-"');
}

export function checkProviderId(id: unknown, argument = 'id'): string {
  return checkPattern(id, PROVIDER_ID, argument, '1 to 64 out of A-Z, a-z, 0-9, ".", "_" and "-"');
}

/** The name of a key in its backend, random if none is given. */
export function checkName(name: unknown): string {
  if (name === undefined) return randomName();
  return checkPattern(name, NAME, 'name', '32 random lower-case hexadecimal digits');
}

export function randomName(): string {
  return randomBytes(16).toString('hex');
}

export function checkAlg(alg: unknown, argument = 'alg'): SignAlg {
  if (isSignAlg(alg)) return alg;
  throw invalidArgument(argument, 'a signature algorithm such as ES256', kindOf(alg));
}

export function checkData(data: unknown): Uint8Array {
  if (isUint8Array(data) && data.byteLength <= MAX_DATA_BYTES) return data;
  const received = isUint8Array(data) ? `${data.byteLength} bytes` : kindOf(data);
  throw invalidArgument('data', `a Uint8Array of at most ${MAX_DATA_BYTES} bytes`, received);
}

/** @param max at most what a timer can wait, which is the default */
export function checkInteger(value: unknown, argument: string, min = 1, max: number = MAX_TIMER_MS): number {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  throw invalidArgument(argument, `an integer from ${min} to ${max}`, kindOf(value));
}

export function checkPattern(value: unknown, pattern: RegExp, argument: string, expected: string): string {
  if (typeof value === 'string' && pattern.test(value)) return value;
  const received = typeof value === 'string' ? `another string of length ${value.length}` : kindOf(value);
  throw invalidArgument(argument, expected, received);
}

/**
 * Reads a caller's options: nothing is no options, and an object may have getters that throw.
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`
 */
export function readOptions<Options extends object, Read>(
  options: Options | undefined,
  argument: string,
  read: (options: Partial<Options>) => Read,
): Read {
  if (options !== undefined && (typeof options !== 'object' || options === null)) {
    throw invalidArgument(argument, 'an object', kindOf(options));
  }
  try {
    return read(options ?? {});
  } catch (error) {
    if (isKeywrightError(error)) throw error;
    throw invalidArgument(argument, 'an object whose members can be read', 'an object that throws');
  }
}

/** Type of an argument that is refused; its value is not shown. */
export function kindOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

export function invalidArgument(argument: string, expected: string, received: string): KmsError {
  return new KmsError('ERR_KMS_INVALID_ARGUMENT', { context: { argument, expected, received } });
}
