import { KmsError } from '@keywright/kms';

export function invalidArgument(argument: string, expected: string, received: string): KmsError {
  return new KmsError('ERR_KMS_INVALID_ARGUMENT', { context: { argument, expected, received } });
}

/** Type of an argument that is refused; its value is not shown. */
export function kindOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

export function checkText(value: unknown, argument: string, maxLength: number): string {
  const isText = typeof value === 'string' && value.length >= 1 && value.length <= maxLength && !value.includes('\0');
  if (isText && value.isWellFormed()) return value;
  throw invalidArgument(
    argument,
    `1 to ${maxLength} characters`,
    typeof value === 'string' ? 'another string' : kindOf(value),
  );
}

export function checkInteger(value: unknown, argument: string, min: number, max: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  throw invalidArgument(argument, `an integer from ${min} to ${max}`, kindOf(value));
}

export function checkFlag(value: unknown, argument: string): boolean {
  if (value === undefined || typeof value === 'boolean') return value === true;
  throw invalidArgument(argument, 'a boolean', kindOf(value));
}
