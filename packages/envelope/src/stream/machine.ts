import { EnvelopeError } from '../errors.ts';
import { isBytes, steady } from '../internal/bytes.ts';
import { describe } from '../keywright-error.ts';
import type { Buffer } from '../runtime/node.ts';

/**
 * One direction of a stream without the stream: fed with bytes, asked for pieces. It knows no promise, no event and no
 * back-pressure; web.ts and node.ts bring those. What it throws ends it, and it has wiped what it held.
 */
export interface StreamMachine {
  /** Precondition: {@link next} has returned `undefined` since the last call. */
  feed(input: Buffer): void;
  /** No more will be fed. */
  end(): void;
  /** The next piece of output, or `undefined`: then feed it, or it is over if {@link end} was called. */
  next(): Buffer | undefined;
  /** Wipes what is held. Safe to call at any time, more than once. */
  destroy(): void;
}

/** @throws EnvelopeError `ERR_ENVELOPE_INVALID_VALUE` */
export function checkChunk(chunk: unknown): Buffer {
  if (!isBytes(chunk)) {
    throw new EnvelopeError('ERR_ENVELOPE_INVALID_VALUE', {
      context: { argument: 'chunk', expected: 'Uint8Array', received: describe(chunk) },
    });
  }
  return steady(chunk);
}
