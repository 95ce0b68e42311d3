import { EnvelopeError } from './errors.ts';
import { writeLe64 } from './internal/pae.ts';
import { describe } from './keywright-error.ts';

/**
 * Public facts that a ciphertext is bound to: what it is and where it lives (tenant, table, id, version). Decryption
 * succeeds only under the very same pairs. The pairs are not secret and are not stored in the envelope.
 */
export type EncryptionContext = Readonly<Record<string, string>>;

let scratch = Buffer.allocUnsafeSlow(4096);
let position = 0;

/**
 * Associated data of a message: `prefix` (everything up to the payload type), then the context's pairs sorted by the
 * UTF-8 bytes of their keys, all as one PAE. The result is a view of a buffer that the next call overwrites.
 *
 * @throws EnvelopeError `ERR_ENVELOPE_INVALID_CONTEXT`
 */
export function associatedData(prefix: Uint8Array, prefixParts: number, context: EncryptionContext): Uint8Array {
  const parts = contextParts(context);
  if (prefix.length > scratch.length) grow(prefix.length);
  scratch.set(prefix, 0);
  writeLe64(scratch, prefixParts + parts.length, 0);
  position = prefix.length;
  for (const part of parts) writePart(part);
  return scratch.subarray(0, position);
}

/** Keys and values in turn. Read completely before anything is written: a getter may run code of the caller's. */
function contextParts(context: EncryptionContext): readonly string[] {
  const keys = contextKeys(context);
  const parts: string[] = [];
  for (const key of keys) {
    const value = context[key];
    if (typeof value !== 'string') throw invalid('string values only', describe(value));
    parts.push(key, value);
  }
  return parts;
}

function contextKeys(context: EncryptionContext): string[] {
  if (typeof context !== 'object' || context === null) throw invalid('a plain object', describe(context));
  const prototype: unknown = Object.getPrototypeOf(context);
  // A Map or a class instance has no own pairs: it would pass for an empty context and bind nothing.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) throw invalid('a plain object', 'an instance');
  const keys = Object.keys(context);
  for (let index = 1; index < keys.length; index++) {
    if ((keys[index - 1] as string) > (keys[index] as string)) return keys.sort(compareUtf8);
  }
  return keys.length > 1 && keys.some(beyondAscii) ? keys.sort(compareUtf8) : keys;
}

function beyondAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return true;
  return false;
}

function compareUtf8(a: string, b: string): number {
  return beyondAscii(a) || beyondAscii(b) ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : a < b ? -1 : 1;
}

function writePart(text: string): void {
  const length = text.length;
  if (position + 8 + 3 * length > scratch.length) grow(position + 8 + 3 * length);
  const start = position + 8;
  let index = 0;
  // Names and ids are short ASCII: a loop beats the call into the engine's encoder.
  for (; index < length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) break;
    scratch[start + index] = code;
  }
  let written = length;
  if (index < length) {
    if (!text.isWellFormed()) throw invalid('well-formed strings', 'a lone surrogate');
    written = scratch.write(text, start, 'utf8');
  }
  writeLe64(scratch, written, position);
  position = start + written;
}

function grow(atLeast: number): void {
  const larger = Buffer.allocUnsafeSlow(Math.max(atLeast, 2 * scratch.length));
  larger.set(scratch);
  scratch = larger;
}

function invalid(expected: string, received: string): EnvelopeError {
  return new EnvelopeError('ERR_ENVELOPE_INVALID_CONTEXT', { context: { argument: 'context', expected, received } });
}
