import { KmsError } from '@keywright/kms';

/** Type of an argument that is refused; its value is not shown. */
export function kindOf(value: unknown): string {
  if (typeof value === 'string') return `string of length ${value.length}`;
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

export function invalidArgument(argument: string, expected: string, received: string): KmsError {
  return new KmsError('ERR_KMS_INVALID_ARGUMENT', { context: { argument, expected, received } });
}

/** @throws KmsError `ERR_KMS_INVALID_ARGUMENT` */
export function checkPattern(value: unknown, pattern: RegExp, argument: string, expected: string): string {
  if (typeof value === 'string' && pattern.test(value)) return value;
  throw invalidArgument(argument, expected, kindOf(value));
}
