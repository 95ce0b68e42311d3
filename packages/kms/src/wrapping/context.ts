import { type EncryptionContext, EnvelopeError } from '@keywright/envelope';
import { kindOf } from '../arguments.ts';

/**
 * The one encoding of an encryption context as bytes, for backends that take associated data as bytes: PASETO's PAE
 * (number of parts, then each part after its length, as LE64) of keys and values in turn, sorted by the UTF-8 bytes of
 * the keys. Two contexts share it only if they are the same.
 *
 * @throws EnvelopeError `ERR_ENVELOPE_INVALID_CONTEXT` unless it is a plain object of well-formed strings
 *
 * @example
 * ```ts
 * import { contextBytes } from '@keywright/kms';
 *
 * const associatedData = contextBytes({ purpose: 'secrets.tenant-kek', tenantId: 'acme' });
 * ```
 */
export function contextBytes(context: EncryptionContext): Buffer {
  const pairs = Object.entries(checkContext(context)).map(([key, value]) => [Buffer.from(key), Buffer.from(value)]);
  pairs.sort(([a], [b]) => Buffer.compare(a as Buffer, b as Buffer));
  const parts = pairs.flat();
  return Buffer.concat([le64(parts.length), ...parts.flatMap((part) => [le64(part.byteLength), part])]);
}

/**
 * A copy of a context that cannot change while a backend is asked.
 * @throws EnvelopeError `ERR_ENVELOPE_INVALID_CONTEXT`
 */
export function checkContext(context: unknown): EncryptionContext {
  const prototype: unknown =
    typeof context === 'object' && context !== null ? Object.getPrototypeOf(context) : undefined;
  // A Map or a class instance has no pairs of its own: it would pass for an empty context and bind nothing.
  if (prototype !== null && !(typeof prototype === 'object' && Object.hasOwn(prototype, 'hasOwnProperty'))) {
    throw invalid('a plain object', kindOf(context));
  }
  const copy = readAll(context as object);
  for (const [key, value] of Object.entries(copy)) {
    if (typeof value !== 'string') throw invalid('string values only', kindOf(value));
    if (!key.isWellFormed() || !value.isWellFormed()) throw invalid('well-formed strings', 'a lone surrogate');
  }
  return Object.freeze(copy as Record<string, string>);
}

/** Getters of the caller's may throw. */
function readAll(context: object): Record<string, unknown> {
  try {
    return Object.assign(Object.create(null) as Record<string, unknown>, context);
  } catch (cause) {
    throw new EnvelopeError('ERR_ENVELOPE_INVALID_CONTEXT', { context: { argument: 'context' }, cause });
  }
}

function le64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(value);
  return bytes;
}

function invalid(expected: string, received: string): EnvelopeError {
  return new EnvelopeError('ERR_ENVELOPE_INVALID_CONTEXT', { context: { argument: 'context', expected, received } });
}
