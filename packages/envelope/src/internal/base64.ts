import type { Buffer as Bytes } from 'node:buffer';
import { ASCII_ROOM, Buffer, isAsciiText, writeBase64Url } from '../runtime/node.ts';

const EQUALS = 0x3d;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const URL_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Exact length in bytes of canonical, padded base64 of `text.length` characters, or -1 if no such text exists. */
function decodedLength(text: string): number {
  const length = text.length;
  if (length === 0 || length % 4 !== 0) return -1;
  const padding = text.charCodeAt(length - 1) !== EQUALS ? 0 : text.charCodeAt(length - 2) !== EQUALS ? 1 : 2;
  // Padding is at the end. The portable decoder splits at every sign: a text of nothing else would take it gigabytes.
  const first = text.indexOf('=');
  if (first >= 0 && first < length - padding) return -1;
  return (length / 4) * 3 - padding;
}

/**
 * Decodes standard, padded, canonical base64 (RFC 4648 section 4) into `target` at `offset` and returns the number of
 * bytes, or -1 where the text is anything else or too long for `target`, which is overwritten in either case.
 *
 * Node's decoder skips junk, takes the URL alphabet and ignores trailing bits, so one ciphertext would have many
 * spellings; and it takes characters beyond ASCII for what they are modulo 256. Decoding and looking at what the decoder
 * forgave is several times faster than encoding again to compare: every skipped character makes the output shorter than
 * the text's length implies.
 */
export function base64DecodeInto(text: string, target: Bytes, offset = 0): number {
  const expected = decodedLength(text);
  if (expected < 0 || expected > target.length - offset) return -1;
  if (!isAsciiText(text, target, offset) || text.includes('-') || text.includes('_')) return -1;
  if (target.write(text, offset, expected, 'base64') !== expected) return -1;
  const padding = (text.length / 4) * 3 - expected;
  if (padding === 0) return expected;
  const last = ALPHABET.indexOf(text.charAt(text.length - 1 - padding));
  return unusedBitsAreZero(last, padding) ? expected : -1;
}

/** Like {@link base64DecodeInto}, into memory of its own; `undefined` for text that is not canonical. */
export function base64Decode(text: string): Bytes | undefined {
  const expected = decodedLength(text);
  if (expected < 0) return undefined;
  const target = Buffer.allocUnsafeSlow(expected);
  return base64DecodeInto(text, target) === expected ? target : undefined;
}

/** Decodes unpadded, canonical base64url (RFC 4648 section 5) as {@link base64DecodeInto} does. */
export function base64UrlDecodeInto(text: string, target: Bytes, offset = 0): number {
  const rest = text.length % 4;
  if (text.length === 0 || rest === 1) return -1;
  const expected = Math.floor((text.length * 3) / 4);
  if (expected > target.length - offset) return -1;
  if (!isAsciiText(text, target, offset) || text.includes('+') || text.includes('/') || text.includes('=')) {
    return -1;
  }
  if (writeBase64Url(text, target, offset, expected) !== expected) return -1;
  if (rest === 0) return expected;
  return unusedBitsAreZero(URL_ALPHABET.indexOf(text.charAt(text.length - 1)), 4 - rest) ? expected : -1;
}

/** Bytes of target with which a text is decoded fastest; it needs three quarters of them. */
export function decodingRoom(text: string): number {
  return text.length + ASCII_ROOM;
}

/** Whether the last character holds no bits beyond the last byte; with them one ciphertext would have many spellings. */
function unusedBitsAreZero(last: number, missing: number): boolean {
  return last >= 0 && (last & (missing === 1 ? 0b11 : 0b1111)) === 0;
}
