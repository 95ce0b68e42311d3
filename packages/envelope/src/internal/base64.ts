/** Exact length in bytes of canonical, padded base64 of `text.length` characters, or -1 if no such text exists. */
function decodedLength(text: string): number {
  const length = text.length;
  if (length === 0 || length % 4 !== 0) return -1;
  const padding = text.charCodeAt(length - 1) !== EQUALS ? 0 : text.charCodeAt(length - 2) !== EQUALS ? 1 : 2;
  return (length / 4) * 3 - padding;
}

const EQUALS = 0x3d;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/**
 * Decodes standard, padded, canonical base64 (RFC 4648 section 4) into `target` and returns the number of bytes, or -1
 * where the text is anything else or too long for `target`.
 *
 * Node's decoder skips junk, takes the URL alphabet and ignores trailing bits, so one ciphertext would have many
 * spellings. Decoding and looking at what the decoder forgave is several times faster than encoding again to compare:
 * every skipped character makes the output shorter than the text's length implies.
 */
export function base64DecodeInto(text: string, target: Buffer): number {
  const expected = decodedLength(text);
  if (expected < 0 || expected > target.length) return -1;
  if (Buffer.byteLength(text) !== text.length || text.includes('-') || text.includes('_')) return -1;
  if (target.write(text, 0, expected, 'base64') !== expected) return -1;
  const padding = (text.length / 4) * 3 - expected;
  if (padding === 0) return expected;
  const last = ALPHABET.indexOf(text.charAt(text.length - 1 - padding));
  return (last & (padding === 1 ? 0b11 : 0b1111)) === 0 ? expected : -1;
}

/** Like {@link base64DecodeInto}, into memory of its own; `undefined` for text that is not canonical. */
export function base64Decode(text: string): Buffer | undefined {
  const expected = decodedLength(text);
  if (expected < 0) return undefined;
  const target = Buffer.allocUnsafeSlow(expected);
  return base64DecodeInto(text, target) === expected ? target : undefined;
}
