import { isUtf8 } from 'node:buffer';
import type { JsonValue } from '../json.ts';

/** Largest plaintext: what comes out as base64 must fit into a string of the engine. */
export const MAX_PLAINTEXT_BYTES: number = 256 * 1024 * 1024;

/**
 * The JSON value of a decrypted plaintext, which is wiped; `undefined` if it is not the UTF-8 of JSON. The parser's error
 * goes no further: its text quotes the plaintext.
 */
export function parsePlaintext(plaintext: Buffer | undefined): JsonValue | undefined {
  if (plaintext === undefined) return undefined;
  try {
    return isUtf8(plaintext) ? (JSON.parse(plaintext.toString('utf8')) as JsonValue) : undefined;
  } catch {
    return undefined;
  } finally {
    plaintext.fill(0);
  }
}
