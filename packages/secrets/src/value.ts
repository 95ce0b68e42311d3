import type { JsonValue } from '@keywright/envelope';
import { invalidArgument } from './arguments.ts';
import { SecretsError } from './errors.ts';

/** What a secret may be: text, bytes, or anything else that JSON can represent. */
export type SecretValue = string | Uint8Array | JsonValue;

/** How a stored value is to be read. */
export type SecretType = 'text' | 'json' | 'bytes';

// First byte of the plaintext: inside the envelope, so a value's type cannot be changed from outside.
const TAGS = { text: 1, json: 2, bytes: 3 } as const;

/**
 * The plaintext of a value, in memory that the caller wipes.
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`, `ERR_SECRETS_VALUE_TOO_LARGE`
 */
export function encodeValue(value: SecretValue | object, maxBytes: number): Buffer {
  if (value instanceof Uint8Array) {
    const plaintext = allocate(TAGS.bytes, value.byteLength, maxBytes);
    plaintext.set(value, 1);
    return plaintext;
  }
  if (typeof value === 'string' && !value.isWellFormed()) {
    throw invalidArgument('value', 'well-formed text, bytes or JSON', 'a lone surrogate');
  }
  const text = typeof value === 'string' ? value : jsonText(value);
  const plaintext = allocate(typeof value === 'string' ? TAGS.text : TAGS.json, Buffer.byteLength(text), maxBytes);
  plaintext.write(text, 1, 'utf8');
  return plaintext;
}

/** Reads a plaintext back; `undefined` for a tag that no release has written. */
export function decodeValue(plaintext: Buffer): { type: SecretType; value: SecretValue } | undefined {
  switch (plaintext[0]) {
    case TAGS.text:
      return { type: 'text', value: plaintext.toString('utf8', 1) };
    case TAGS.json:
      return { type: 'json', value: JSON.parse(plaintext.toString('utf8', 1)) as JsonValue };
    case TAGS.bytes:
      return { type: 'bytes', value: new Uint8Array(plaintext.subarray(1)) };
    default:
      return undefined;
  }
}

function allocate(tag: number, length: number, maxBytes: number): Buffer {
  if (length > maxBytes) {
    throw new SecretsError('ERR_SECRETS_VALUE_TOO_LARGE', { context: { limit: maxBytes, received: length } });
  }
  const plaintext = Buffer.allocUnsafeSlow(length + 1);
  plaintext[0] = tag;
  return plaintext;
}

function jsonText(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    text = undefined; // the engine's message quotes property names
  }
  if (text === undefined) throw invalidArgument('value', 'text, bytes or JSON', typeof value);
  return text;
}
