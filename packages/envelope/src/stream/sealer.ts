import { contextPairs, type EncryptionContext } from '../context.ts';
import { EnvelopeError, KeyringError } from '../errors.ts';
import { type Keyring, suiteOf, usableEntry } from '../keyring.ts';
import { describe } from '../keywright-error.ts';
import { Buffer, fillRandom } from '../runtime/node.ts';
import { type Sealed, SUITES, type SuiteKey, TAG_BYTES } from '../suites/suite.ts';
import { Chunker } from './chunker.ts';
import {
  DEFAULT_CHUNK_BYTES,
  headerLayout,
  isChunkSize,
  MAX_CHUNK_BYTES,
  MIN_CHUNK_BYTES,
  writeStart,
} from './header.ts';
import type { StreamMachine } from './machine.ts';
import { ChunkNonces } from './nonces.ts';
import { Pacer } from './pacer.ts';
import { streamKey } from './stream-key.ts';

export interface EncryptStreamOptions {
  /** The pairs that the stream is bound to. Write `{}` where there is really nothing to bind. */
  readonly context: EncryptionContext;
  /**
   * Bytes of plaintext in a chunk, 1 KiB to 1 MiB: what either side holds in memory, and what a reader must have whole
   * before it can give any of it.
   * @default 65536
   */
  readonly chunkBytes?: number | undefined;
}

/** Plaintext in, encrypted stream out. */
export class ChunkSealer implements StreamMachine {
  readonly #keyring: Keyring;
  readonly #kid: string;
  readonly #tagFirst: boolean;
  readonly #associatedData: Uint8Array;
  readonly #nonces: ChunkNonces;
  readonly #chunker: Chunker;
  readonly #pacer = new Pacer();
  #key: SuiteKey | undefined;
  #header: Buffer | undefined;
  #ended = false;

  constructor(keyring: Keyring, options: EncryptStreamOptions) {
    const context = contextPairs(options?.context);
    const { chunkBytes = DEFAULT_CHUNK_BYTES } = options;
    if (!isChunkSize(chunkBytes)) throw invalidChunkBytes(chunkBytes);
    const suite = suiteOf(keyring);
    const entry = usableEntry(keyring, keyring.activeKid);
    const start = { suite: suite.id, chunkBytes, kid: entry.kid };
    const { saltAt, prefixAt, commitmentAt } = headerLayout(start);
    const header = writeStart(start);
    fillRandom(header.subarray(saltAt, commitmentAt));
    const { message, associatedData } = streamKey(entry, suite, start, header, context);
    header.set(message.commitment, commitmentAt);
    this.#keyring = keyring;
    this.#kid = entry.kid;
    this.#tagFirst = SUITES[suite.id].tag === 'before';
    this.#associatedData = associatedData;
    this.#nonces = new ChunkNonces(header.subarray(prefixAt, commitmentAt));
    this.#chunker = new Chunker(chunkBytes);
    this.#key = message.key;
    this.#header = header;
  }

  feed(input: Buffer): void {
    this.#chunker.feed(input);
  }

  end(): void {
    this.#ended = true;
  }

  next(): Buffer | undefined {
    try {
      return this.#next();
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  destroy(): void {
    this.#key = undefined;
    this.#header = undefined;
    this.#chunker.wipe();
  }

  #next(): Buffer | undefined {
    if (this.#key === undefined) return undefined;
    const header = this.#header;
    this.#header = undefined;
    if (header !== undefined) return header;
    const chunk = this.#chunker.next();
    if (chunk !== undefined) return this.#seal(this.#key, chunk, false);
    if (!this.#ended) return undefined;
    const piece = this.#seal(this.#key, this.#chunker.rest(), true);
    this.destroy();
    return piece;
  }

  #seal(key: SuiteKey, chunk: Uint8Array, last: boolean): Buffer {
    // Asked at every chunk: a stream can take hours, and a key taken out of use must stop it.
    usableEntry(this.#keyring, this.#kid);
    const nonce = this.#nonces.next(last);
    if (nonce === undefined) {
      throw new EnvelopeError('ERR_ENVELOPE_INVALID_VALUE', {
        context: { expected: 'at most 2^32 chunks; take larger ones', count: this.#nonces.count },
      });
    }
    const piece = layOut(key.seal(nonce, this.#associatedData, chunk), this.#tagFirst);
    this.#pacer.spend(piece.length);
    return piece;
  }
}

function layOut({ ciphertext, tag }: Sealed, tagFirst: boolean): Buffer {
  const grown = tagFirst ? undefined : grow(ciphertext);
  const piece = grown ?? Buffer.allocUnsafeSlow(ciphertext.length + TAG_BYTES);
  if (grown === undefined) piece.set(ciphertext, tagFirst ? TAG_BYTES : 0);
  piece.set(tag, tagFirst ? 0 : piece.length - TAG_BYTES);
  return piece;
}

/**
 * The same bytes with room for a tag behind them, where their memory is theirs alone. The old memory is given back at once:
 * left to the collector, the copies of a fast stream come to a hundred megabytes before it runs, and every chunk gets
 * cold memory.
 */
function grow(bytes: Uint8Array): Buffer | undefined {
  const memory = bytes.buffer as ArrayBuffer;
  if (memory.byteLength !== bytes.byteLength || bytes.byteLength === 0 || !('transfer' in memory)) return undefined;
  return Buffer.from(memory.transfer(bytes.byteLength + TAG_BYTES));
}

function invalidChunkBytes(chunkBytes: unknown): KeyringError {
  return new KeyringError('ERR_KEYRING_INVALID_ARGUMENT', {
    context: {
      argument: 'chunkBytes',
      expected: `an integer from ${MIN_CHUNK_BYTES} to ${MAX_CHUNK_BYTES}`,
      received: typeof chunkBytes === 'number' ? chunkBytes : describe(chunkBytes),
    },
  });
}
