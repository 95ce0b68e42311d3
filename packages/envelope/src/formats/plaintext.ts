import type { JsonValue } from '../json.ts';
import { Buffer, utf8Length, utf8Text } from '../runtime/node.ts';

/** Largest plaintext: what comes out as base64 must fit into a string of the engine. */
export const MAX_PLAINTEXT_BYTES: number = 256 * 1024 * 1024;

/** Whether a text has more than {@link MAX_PLAINTEXT_BYTES} as UTF-8; counted only where its length does not tell. */
export function isTooLong(text: string): boolean {
  return text.length > MAX_PLAINTEXT_BYTES / 3 && utf8Length(text) > MAX_PLAINTEXT_BYTES;
}

/** The text of a decrypted plaintext, which is wiped; `undefined` if it is not UTF-8. */
export function textOf(plaintext: Uint8Array | undefined): string | undefined {
  if (plaintext === undefined) return undefined;
  const text = utf8Text(asBuffer(plaintext));
  plaintext.fill(0);
  return text;
}

/** The same memory as a Buffer. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * The JSON value of a decrypted plaintext, which is wiped; `undefined` if it is not the UTF-8 of JSON. The parser's error
 * goes no further: its text quotes the plaintext.
 */
export function parsePlaintext(plaintext: Uint8Array | undefined): JsonValue | undefined {
  const text = textOf(plaintext);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return undefined;
  }
}
