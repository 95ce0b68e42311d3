import { EnvelopeError } from '../errors.ts';
import { textOf } from '../formats/plaintext.ts';
import { isBytes } from '../internal/bytes.ts';
import { type JsonInput, toJson } from '../json.ts';
import { describe } from '../keywright-error.ts';
import { Buffer } from '../runtime/node.ts';
import type { ColumnPayload } from './column-codec.ts';
import { parse } from './stored.ts';

/**
 * A value of the application as text: itself, or its JSON.
 * @throws EnvelopeError `ERR_ENVELOPE_INVALID_VALUE`
 */
export function textForm(payload: ColumnPayload, value: unknown): string {
  if (payload === 'json') return toJson(value as JsonInput);
  if (typeof value === 'string' && value.isWellFormed()) return value;
  throw invalidValue('a well-formed string', value);
}

/** A value of the application as bytes; `own` tells that they are a copy, to be wiped after use. */
export function bytesForm(
  payload: ColumnPayload,
  value: unknown,
): { readonly bytes: Uint8Array; readonly own: boolean } {
  if (payload !== 'bytes') return { bytes: Buffer.from(textForm(payload, value)), own: true };
  if (isBytes(value)) return { bytes: value, own: false };
  throw invalidValue('a Uint8Array', value);
}

/** The application's value of a text; `undefined` if it is none. */
export function fromText(payload: ColumnPayload, text: string): unknown {
  return payload === 'json' ? parse(text) : text;
}

/** The application's value of a parsed JSON value; `undefined` if it is none. */
export function fromJson(payload: ColumnPayload, value: unknown): unknown {
  return payload === 'json' || typeof value === 'string' ? value : undefined;
}

/** The application's value of bytes that are the codec's own, wiped unless they are the value; `undefined` if none. */
export function fromBytes(payload: ColumnPayload, bytes: Buffer): unknown {
  if (payload === 'bytes') return bytes;
  const text = textOf(bytes);
  return text === undefined ? undefined : fromText(payload, text);
}

function invalidValue(expected: string, value: unknown): EnvelopeError {
  return new EnvelopeError('ERR_ENVELOPE_INVALID_VALUE', {
    context: { argument: 'value', expected, received: describe(value) },
  });
}
