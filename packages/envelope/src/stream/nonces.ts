import { Buffer } from '../runtime/node.ts';
import { SUITES, type SuiteId } from '../suites/suite.ts';

/** BE32 counter and last flag. */
const SUFFIX_BYTES = 5;
const MAX_CHUNKS = 2 ** 32;

/** Length of the part that all nonces of a stream share. */
export function prefixBytes(suite: SuiteId): number {
  return SUITES[suite].nonceLength - SUFFIX_BYTES;
}

/**
 * The nonces of one stream, each once: prefix ‖ BE32 counter ‖ last flag. The counter gives every chunk its place, the
 * flag gives the stream its end (STREAM: Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its
 * Nonce-Reuse Misuse-Resistance", 2015).
 */
export class ChunkNonces {
  readonly #nonce: Buffer;
  #counter: number;

  constructor(prefix: Uint8Array, counter = 0) {
    this.#nonce = Buffer.allocUnsafeSlow(prefix.length + SUFFIX_BYTES);
    this.#nonce.set(prefix);
    this.#counter = counter;
  }

  /** Chunks so far. */
  get count(): number {
    return this.#counter;
  }

  /** A view that the next call overwrites; `undefined` where the stream has as many chunks as it may. */
  next(last: boolean): Uint8Array | undefined {
    if (this.#counter >= MAX_CHUNKS) return undefined;
    this.#nonce.writeUInt32BE(this.#counter++, this.#nonce.length - SUFFIX_BYTES);
    this.#nonce[this.#nonce.length - 1] = last ? 1 : 0;
    return this.#nonce;
  }
}
