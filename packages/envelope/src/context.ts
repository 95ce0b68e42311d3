import { EnvelopeError } from './errors.ts';
import { writeLe64 } from './internal/pae.ts';
import { describe } from './keywright-error.ts';
import { Buffer } from './runtime/node.ts';

/**
 * Public facts that a ciphertext is bound to: what it is and where it lives (tenant, table, id, version). Decryption
 * succeeds only under the very same pairs. The pairs are not secret and are not stored in the envelope.
 */
export type EncryptionContext = Readonly<Record<string, string>>;

/** A context's keys and values in turn, sorted by the UTF-8 bytes of the keys. */
export type ContextPairs = readonly string[];

/** Contexts are short; a longer one gets a buffer of its own, so that it does not stay in memory. */
const SCRATCH_BYTES = 64 * 1024;
const shared = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
const FEW = 8;

/**
 * Reads a context completely. This is where the caller's code may run (a getter, a proxy): nothing shared is touched and
 * no key is looked up before it is over.
 *
 * @throws EnvelopeError `ERR_ENVELOPE_INVALID_CONTEXT`
 */
export function contextPairs(context: EncryptionContext): ContextPairs {
  const keys = contextKeys(context);
  const pairs: string[] = [];
  for (const key of keys) {
    const value = context[key];
    if (typeof value !== 'string') throw invalid('string values only', describe(value), key);
    pairs.push(key, value);
  }
  return pairs;
}

/**
 * Associated data of a message: `prefix` (everything up to the payload type), then the pairs, all as one PAE. The result
 * may be a view of a buffer that the next call overwrites.
 *
 * @throws EnvelopeError `ERR_ENVELOPE_INVALID_CONTEXT` for a string that has no UTF-8
 */
export function associatedData(prefix: Uint8Array, prefixParts: number, pairs: ContextPairs): Uint8Array {
  let most = prefix.length;
  for (const text of pairs) most += 8 + 3 * text.length;
  const target = most <= SCRATCH_BYTES ? shared : Buffer.allocUnsafeSlow(most);
  target.set(prefix, 0);
  writeLe64(target, prefixParts + pairs.length, 0);
  let position = prefix.length;
  for (const text of pairs) position = writePart(target, position, text);
  return target.subarray(0, position);
}

function writePart(target: Buffer, position: number, text: string): number {
  const start = position + 8;
  let index = 0;
  // Names and ids are short ASCII: a loop beats the call into the engine's encoder.
  for (; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) break;
    target[start + index] = code;
  }
  let written = index;
  if (index < text.length) {
    if (!text.isWellFormed()) throw invalid('well-formed strings', 'a lone surrogate');
    written = target.write(text, start, 'utf8');
  }
  writeLe64(target, written, position);
  return start + written;
}

function contextKeys(context: EncryptionContext): string[] {
  if (typeof context !== 'object' || context === null) throw invalid('a plain object', describe(context));
  const prototype: unknown = Object.getPrototypeOf(context);
  // A Map or a class instance has no pairs of its own: it would pass for an empty context and bind nothing. Objects of
  // another realm are told by what only an Object.prototype has.
  if (prototype !== null && prototype !== Object.prototype && !Object.hasOwn(prototype as object, 'hasOwnProperty')) {
    throw invalid('a plain object', 'an instance');
  }
  const keys = Object.keys(context);
  if (keys.length === 0 && Reflect.ownKeys(context).length > 0) throw invalid('enumerable string keys', 'other keys');
  let sorted = true;
  let ascii = true;
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as string;
    ascii &&= !beyondAscii(key);
    sorted &&= index === 0 || (keys[index - 1] as string) < key;
  }
  if (sorted && ascii) return keys;
  // UTF-16 order, which `<` is, differs from UTF-8 order beyond the basic plane.
  if (!ascii) return keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return keys.length > FEW ? keys.sort() : insertionSort(keys);
}

/** In place. For a handful of keys in half the time of the engine's sort. */
function insertionSort(keys: string[]): string[] {
  for (let index = 1; index < keys.length; index++) {
    const key = keys[index] as string;
    let at = index;
    for (; at > 0 && (keys[at - 1] as string) > key; at--) keys[at] = keys[at - 1] as string;
    keys[at] = key;
  }
  return keys;
}

function beyondAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return true;
  return false;
}

function invalid(expected: string, received: string, field?: string): EnvelopeError {
  const context = { argument: 'context', expected, received };
  return new EnvelopeError('ERR_ENVELOPE_INVALID_CONTEXT', {
    context: field === undefined ? context : { ...context, field },
  });
}
