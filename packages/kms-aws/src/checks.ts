import { KmsError } from '@keywright/kms';

const ARN = /^arn:aws[a-z-]{0,16}:kms:([a-z0-9-]{1,32}):\d{12}:key\/[A-Za-z0-9-]{1,128}$/;
const ID = /^[A-Za-z0-9-]{1,128}$/;

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

/**
 * The id of a key that is to be used: its ARN, as keys made here have it, or its bare id. Never an alias, which may lead
 * to another key tomorrow. A key of another region is refused rather than not found: a key that is not found passes for
 * deleted.
 *
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`
 */
export function checkKeyId(externalId: string, region: string, argument: string): string {
  const arn = ARN.exec(externalId);
  if (arn === null ? ID.test(externalId) : arn[1] === region) return externalId;
  const expected = `the ARN or id of a key in ${region}`;
  throw invalidArgument(argument, expected, arn === null ? kindOf(externalId) : `a key in ${arn[1]}`);
}

/**
 * The ARN of a key that was made.
 * @throws KmsError `ERR_KMS_INVALID_RESPONSE`
 */
export function arnOf(answer: { readonly Arn?: string | undefined } | undefined): string {
  const arn = answer?.Arn;
  if (typeof arn === 'string' && ARN.test(arn)) return arn;
  throw new KmsError('ERR_KMS_INVALID_RESPONSE', { context: { expected: 'the ARN of a key', received: kindOf(arn) } });
}

/**
 * Checks that an answer is about the key that was asked for.
 * @throws KmsError `ERR_KMS_INVALID_RESPONSE`
 */
export function checkAnswerOf(answer: { readonly KeyId?: string | undefined }, externalId: string): void {
  const { KeyId: keyId } = answer;
  if (typeof keyId === 'string' && (keyId === externalId || keyId.endsWith(`:key/${externalId}`))) return;
  throw new KmsError('ERR_KMS_INVALID_RESPONSE', {
    context: { expected: 'an answer about the key that was asked for', received: kindOf(keyId) },
  });
}

/**
 * Bytes of an answer.
 * @throws KmsError `ERR_KMS_INVALID_RESPONSE`
 */
export function bytesOf(bytes: unknown, expected: string): Uint8Array {
  if (bytes instanceof Uint8Array && bytes.byteLength > 0) return bytes;
  throw new KmsError('ERR_KMS_INVALID_RESPONSE', { context: { expected, received: kindOf(bytes) } });
}
