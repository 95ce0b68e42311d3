import { associatedData, type ContextPairs, contextPairs, type EncryptionContext } from '../context.ts';
import { EnvelopeError } from '../errors.ts';
import { pae } from '../internal/pae.ts';
import { type Keyring, suiteOf, usableEntry } from '../keyring.ts';
import { Buffer, timingSafeEqual } from '../runtime/node.ts';
import { SUITES, type SuiteKey, TAG_BYTES } from '../suites/suite.ts';
import { Chunker, changedUnderway } from './chunker.ts';
import { headerLayout, MAX_HEADER_BYTES, readStart, type StreamStart } from './header.ts';
import type { StreamMachine } from './machine.ts';
import { ChunkNonces } from './nonces.ts';
import { Pacer } from './pacer.ts';
import { streamKey } from './stream-key.ts';

export interface DecryptStreamOptions {
  /** The very pairs that the stream was encrypted under. */
  readonly context: EncryptionContext;
}

/** What is set up once the header has been read and its commitment has matched. */
interface Chunks {
  readonly kid: string;
  readonly key: SuiteKey;
  readonly associatedData: Uint8Array;
  readonly tagFirst: boolean;
  readonly nonces: ChunkNonces;
  readonly chunker: Chunker;
}

/** Whatever is wrong with the stream, so that one line throws for every reason. */
const REFUSED: unique symbol = Symbol('refused');
type Refused = typeof REFUSED;

/** Encrypted stream in, plaintext out: only chunks whose tag has verified. */
export class ChunkOpener implements StreamMachine {
  readonly #keyring: Keyring;
  readonly #context: ContextPairs;
  readonly #pacer = new Pacer();
  readonly #header: Buffer = Buffer.allocUnsafeSlow(MAX_HEADER_BYTES);
  #headerBytes = 0;
  #input: Buffer | undefined;
  #inputBytes = 0;
  #chunks: Chunks | undefined;
  #ended = false;
  #over = false;

  constructor(keyring: Keyring, options: DecryptStreamOptions) {
    this.#context = contextPairs(options?.context);
    // Refuses a context that has no encoding, and what is no keyring, here and not at the first chunk.
    associatedData(pae([]), 0, this.#context);
    suiteOf(keyring);
    this.#keyring = keyring;
  }

  feed(input: Buffer): void {
    if (this.#chunks === undefined) {
      this.#input = input;
      this.#inputBytes = input.length;
    } else this.#chunks.chunker.feed(input);
  }

  end(): void {
    this.#ended = true;
  }

  next(): Buffer | undefined {
    try {
      const piece = this.#next();
      if (piece === REFUSED) throw new EnvelopeError('ERR_ENVELOPE_DECRYPT');
      return piece;
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  destroy(): void {
    this.#over = true;
    this.#input = undefined;
    this.#chunks?.chunker.wipe();
    this.#chunks = undefined;
  }

  #next(): Buffer | Refused | undefined {
    if (this.#over) return undefined;
    const chunks = this.#chunks ?? this.#readHeader();
    if (chunks === undefined) return this.#ended ? REFUSED : undefined;
    if (chunks === REFUSED) return REFUSED;
    const chunk = chunks.chunker.next();
    if (chunk !== undefined) return this.#open(chunks, chunk, false);
    if (!this.#ended) return undefined;
    const rest = chunks.chunker.rest();
    // An empty chunk after others would be a second spelling of the stream without it.
    if (rest.length < TAG_BYTES || (rest.length === TAG_BYTES && chunks.nonces.count > 0)) return REFUSED;
    const piece = this.#open(chunks, rest, true);
    this.destroy();
    return piece === REFUSED || piece.length > 0 ? piece : undefined;
  }

  #readHeader(): Chunks | Refused | undefined {
    if (this.#input !== undefined && this.#input.length !== this.#inputBytes) throw changedUnderway();
    const before = this.#headerBytes;
    const taken = this.#input?.copy(this.#header, before) ?? 0;
    this.#headerBytes += taken;
    const known = this.#header.subarray(0, this.#headerBytes);
    const start = readStart(known, this.#ended);
    const length = start === undefined ? Number.POSITIVE_INFINITY : headerLayout(start).length;
    if (start === undefined || known.length < length) {
      this.#input = undefined;
      return undefined;
    }
    const chunks = this.#begin(start, known.subarray(0, length));
    if (chunks !== REFUSED && this.#input !== undefined) chunks.chunker.feed(this.#input.subarray(length - before));
    this.#input = undefined;
    if (chunks !== REFUSED) this.#chunks = chunks;
    return chunks;
  }

  #begin(start: StreamStart, header: Buffer): Chunks | Refused {
    const entry = usableEntry(this.#keyring, start.kid);
    const suite = suiteOf(this.#keyring, start.suite);
    const { prefixAt, commitmentAt } = headerLayout(start);
    const { message, associatedData: bound } = streamKey(entry, suite, start, header, this.#context);
    if (!timingSafeEqual(header.subarray(commitmentAt), message.commitment)) return REFUSED;
    return {
      kid: entry.kid,
      key: message.key,
      associatedData: bound,
      tagFirst: SUITES[suite.id].tag === 'before',
      nonces: new ChunkNonces(header.subarray(prefixAt, commitmentAt)),
      chunker: new Chunker(start.chunkBytes + TAG_BYTES),
    };
  }

  #open(chunks: Chunks, chunk: Buffer, last: boolean): Buffer | Refused {
    // Asked at every chunk: a stream can take hours, and a key taken out of use must stop it.
    usableEntry(this.#keyring, chunks.kid);
    const nonce = chunks.nonces.next(last);
    if (nonce === undefined) return REFUSED;
    const tagAt = chunks.tagFirst ? 0 : chunk.length - TAG_BYTES;
    const ciphertextAt = chunks.tagFirst ? TAG_BYTES : 0;
    const plaintext = chunks.key.open(
      nonce,
      chunks.associatedData,
      chunk.subarray(ciphertextAt, ciphertextAt + chunk.length - TAG_BYTES),
      chunk.subarray(tagAt, tagAt + TAG_BYTES),
    );
    if (plaintext === undefined) return REFUSED;
    this.#pacer.spend(plaintext.length);
    return Buffer.from(plaintext.buffer, plaintext.byteOffset, plaintext.byteLength);
  }
}
