import { types } from 'node:util';
import type { JsonValue } from '@keywright/envelope';
import { invalidArgument } from './arguments.ts';
import { SecretsError } from './errors.ts';
import { plainJson } from './internal/plain-json.ts';

/** What a secret may be: text, bytes, or other plain data that JSON can represent. */
export type SecretValue = string | Uint8Array | JsonValue;

/** How a stored value is to be read. */
export type SecretType = 'text' | 'json' | 'bytes';

// First byte of the plaintext: inside the envelope, so a value's type cannot be changed from outside.
const TAGS = { text: 1, json: 2, bytes: 3 } as const;

const EXPECTED = 'well-formed text, a Uint8Array, or plain JSON data';

/**
 * The plaintext of a value, in memory that the caller wipes.
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`, `ERR_SECRETS_VALUE_TOO_LARGE`
 */
export function encodeValue(value: SecretValue | object, maxBytes: number): Buffer {
  // instanceof would take a proxy for bytes, and bytes of another realm for an object
  if (types.isUint8Array(value)) {
    if ((value.buffer as ArrayBuffer).detached) throw invalidArgument('value', EXPECTED, 'detached bytes');
    const plaintext = allocate(TAGS.bytes, value.byteLength, maxBytes);
    plaintext.set(value, 1);
    return plaintext;
  }
  if (typeof value === 'string' && !value.isWellFormed()) throw invalidArgument('value', EXPECTED, 'a lone surrogate');
  const text = typeof value === 'string' ? value : jsonText(value, maxBytes);
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

function jsonText(value: unknown, maxBytes: number): string {
  const json = plainJson(value, maxBytes);
  if ('text' in json) return json.text;
  if ('refused' in json) throw invalidArgument('value', EXPECTED, json.refused);
  throw new SecretsError('ERR_SECRETS_VALUE_TOO_LARGE', { context: { limit: maxBytes, received: 'more' } });
}
