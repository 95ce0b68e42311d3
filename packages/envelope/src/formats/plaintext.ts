import type { JsonValue } from '../json.ts';
import { Buffer, isUtf8 } from '../runtime/node.ts';

/** Largest plaintext: what comes out as base64 must fit into a string of the engine. */
export const MAX_PLAINTEXT_BYTES: number = 256 * 1024 * 1024;

/** The text of a decrypted plaintext, which is wiped; `undefined` if it is not UTF-8. */
export function textOf(plaintext: Uint8Array | undefined): string | undefined {
  if (plaintext === undefined) return undefined;
  const text = isUtf8(plaintext)
    ? Buffer.from(plaintext.buffer, plaintext.byteOffset, plaintext.byteLength).toString('utf8')
    : undefined;
  plaintext.fill(0);
  return text;
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
