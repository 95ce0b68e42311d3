import { type EncryptionContext, EnvelopeError, rawCause } from '@keywright/envelope';
import { type DriverCall, KmsError } from '@keywright/kms';
import { request } from './calls.ts';
import { bytesOf, checkAnswerOf, invalidArgument } from './checks.ts';
import type { AwsKmsClient } from './client.ts';
import { isWrongCiphertext } from './errors.ts';
import { MAX_MESSAGE_BYTES } from './key-specs.ts';

/** Longest context that AWS KMS takes, and longest wrapped key, in bytes. */
const MAX_CONTEXT_BYTES = 8192;
const MAX_WRAPPED_BYTES = 6144;

/** Wraps a key; the context is associated data of AES-GCM in AWS KMS, and shows in CloudTrail. */
export async function encrypt(
  client: AwsKmsClient,
  externalId: string,
  key: Uint8Array,
  context: EncryptionContext,
  call: DriverCall,
): Promise<Uint8Array> {
  if (key.byteLength > MAX_MESSAGE_BYTES) {
    throw invalidArgument('key', `at most ${MAX_MESSAGE_BYTES} bytes`, `${key.byteLength} bytes`);
  }
  const input = { KeyId: externalId, Plaintext: key, EncryptionContext: checkContext(context) };
  const answer = await request(call, (options) => client.encrypt(input, options));
  checkAnswerOf(answer, externalId);
  return bytesOf(answer.CiphertextBlob, 'a wrapped key');
}

/** @throws EnvelopeError `ERR_ENVELOPE_DECRYPT`: changed, of another context or of another key */
export async function decrypt(
  client: AwsKmsClient,
  externalId: string,
  wrapped: Uint8Array,
  context: EncryptionContext,
  call: DriverCall,
): Promise<Uint8Array> {
  // AWS KMS would call the request invalid, not the ciphertext.
  if (wrapped.byteLength > MAX_WRAPPED_BYTES) throw new EnvelopeError('ERR_ENVELOPE_DECRYPT');
  // The key is named: without that, any key that we may use and that the ciphertext names would do.
  const input = { KeyId: externalId, CiphertextBlob: wrapped, EncryptionContext: checkContext(context) };
  try {
    const answer = await request(call, (options) => client.decrypt(input, options));
    checkAnswerOf(answer, externalId);
    return bytesOf(answer.Plaintext, 'an unwrapped key');
  } catch (error) {
    if (error instanceof KmsError && isWrongCiphertext(rawCause(error)))
      throw new EnvelopeError('ERR_ENVELOPE_DECRYPT');
    throw error;
  }
}

/** A context that the shell has checked to be texts, in a length that AWS KMS takes. */
function checkContext(context: EncryptionContext): Record<string, string> {
  const length = Object.entries(context).reduce((sum, pair) => sum + Buffer.byteLength(pair.join('')), 0);
  if (length <= MAX_CONTEXT_BYTES) return { ...context };
  throw invalidArgument('context', `at most ${MAX_CONTEXT_BYTES} bytes`, `${length} bytes`);
}
