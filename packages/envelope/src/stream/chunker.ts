import { EnvelopeError } from '../errors.ts';
import { Buffer } from '../runtime/node.ts';

const NOTHING = Buffer.allocUnsafeSlow(0);

/**
 * Cuts what comes in pieces of any length into chunks of one length. The last chunk of a stream is marked, so a chunk
 * is handed out only when it is known that more follows.
 */
export class Chunker {
  readonly #size: number;
  #input: Buffer = NOTHING;
  #inputBytes = 0;
  #at = 0;
  #held: Buffer | undefined;
  #heldBytes = 0;

  constructor(size: number) {
    this.#size = size;
  }

  /** Precondition: {@link next} has returned `undefined`, so nothing of the input before is left. */
  feed(input: Buffer): void {
    this.#input = input;
    this.#inputBytes = input.length;
    this.#at = 0;
  }

  /**
   * A whole chunk after which more follows, or `undefined`: then the input is used up and not looked at again. The chunk
   * is a view of the input, or of memory that the next call overwrites.
   */
  next(): Buffer | undefined {
    if (this.#input.length !== this.#inputBytes) throw changedUnderway();
    const left = this.#inputBytes - this.#at;
    if (this.#heldBytes === 0 && left > this.#size) {
      const chunk = this.#input.subarray(this.#at, this.#at + this.#size);
      this.#at += this.#size;
      return chunk;
    }
    const taken = Math.min(left, this.#size - this.#heldBytes);
    this.#hold(taken);
    if (left > taken) {
      this.#heldBytes = 0;
      return this.#held;
    }
    this.#input = NOTHING;
    this.#inputBytes = 0;
    this.#at = 0;
    return undefined;
  }

  /** What is left at the end: at most one chunk. */
  rest(): Buffer {
    return this.#held?.subarray(0, this.#heldBytes) ?? NOTHING;
  }

  /** Wipes what is held of the stream, and lets go of the input. */
  wipe(): void {
    this.#held?.fill(0);
    this.#held = undefined;
    this.#heldBytes = 0;
    this.feed(NOTHING);
  }

  #hold(bytes: number): void {
    if (bytes === 0) return;
    this.#held ??= Buffer.allocUnsafeSlow(this.#size);
    // What the caller wrote is theirs again once it is used up, so it is copied and not kept.
    this.#held.set(this.#input.subarray(this.#at, this.#at + bytes), this.#heldBytes);
    this.#heldBytes += bytes;
    this.#at += bytes;
  }
}

/** A buffer may be transferred or shrunk while it waits for the reader: what it held would be missing from the stream. */
export function changedUnderway(): EnvelopeError {
  return new EnvelopeError('ERR_ENVELOPE_INVALID_VALUE', {
    context: { expected: 'a chunk that stays as it is until it is written', received: 'a detached or resized chunk' },
  });
}
