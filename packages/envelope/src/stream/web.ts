import type { Keyring } from '../keyring.ts';
import { checkChunk, type StreamMachine } from './machine.ts';
import { ChunkOpener, type DecryptStreamOptions } from './opener.ts';
import { ChunkSealer, type EncryptStreamOptions } from './sealer.ts';

/** The two ends of a stream of bytes, as `pipeThrough` takes them. */
export interface ByteStreamPair {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/** The promise of a write or of the end, which is settled when all of it has been used. */
interface Pending {
  resolve(): void;
  reject(reason: unknown): void;
}

/**
 * A machine as a web stream. Two streams by hand and no TransformStream: that turns one write of a gigabyte into a
 * gigabyte of output, and leaves a write that nobody reads pending for ever when it is aborted.
 */
class MachinePair implements ByteStreamPair {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly #machine: StreamMachine;
  #source!: ReadableStreamDefaultController<Uint8Array>;
  #sink!: WritableStreamDefaultController;
  #pending: Pending | undefined;
  #room = false;
  #ending = false;
  #over = false;

  constructor(machine: StreamMachine) {
    this.#machine = machine;
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#source = controller;
        },
        pull: () => this.#pull(),
        cancel: (reason) => this.#fail(reason),
      },
      { highWaterMark: 0 },
    );
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => this.#start(controller),
      write: (chunk) => this.#write(chunk),
      close: () => this.#close(),
      abort: (reason) => this.#stop(reason),
    });
  }

  #start(controller: WritableStreamDefaultController): void {
    this.#sink = controller;
    const { signal } = controller as { signal?: AbortSignal };
    // `abort` above is called only when the write under way has settled, which without a reader it never would.
    signal?.addEventListener('abort', () => this.#stop(signal.reason), { once: true });
  }

  #pull(): void {
    this.#room = true;
    this.#run();
  }

  #write(chunk: unknown): Promise<void> {
    try {
      this.#machine.feed(checkChunk(chunk));
    } catch (error) {
      this.#fail(error);
      throw error;
    }
    return this.#wait();
  }

  #close(): Promise<void> {
    this.#ending = true;
    this.#machine.end();
    return this.#wait();
  }

  #wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#run();
    });
  }

  #run(): void {
    try {
      // What is left at the end is a chunk at most, so a writer may close before anyone reads.
      while ((this.#room || this.#ending) && this.#pending !== undefined) {
        const piece = this.#machine.next();
        this.#room &&= piece === undefined;
        if (piece === undefined) this.#acknowledge();
        else this.#source.enqueue(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength));
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #acknowledge(): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (this.#ending) {
      this.#over = true;
      this.#source.close();
    }
    pending?.resolve();
  }

  /** Ends both sides with one reason. */
  #fail(reason: unknown): void {
    if (!this.#over) this.#sink.error(reason);
    this.#stop(reason);
  }

  /** Ends the readable side. What was written and not yet used is rejected, so nobody waits for it. */
  #stop(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#machine.destroy();
    this.#source.error(reason);
    this.#pending?.reject(reason);
    this.#pending = undefined;
  }
}

/**
 * A pair of web streams that encrypts what is written to it, for files and values too large for an envelope. Memory does
 * not grow with the stream, and a write waits for the reader. What comes out is at most 157 bytes longer, and 16 bytes
 * more for each chunk after the first.
 *
 * The key that is active now encrypts the whole stream, even if it is rotated meanwhile; disabled or destroyed, it fails
 * the stream with `ERR_KEYRING_KEY_NOT_USABLE`. A chunk that is no Uint8Array fails it with `ERR_ENVELOPE_INVALID_VALUE`.
 *
 * The stream can be read by `decryptStream` of this module and of `@keywright/envelope/node-stream`.
 *
 * @throws EnvelopeError `ERR_ENVELOPE_INVALID_CONTEXT`; KeyringError `ERR_KEYRING_INVALID_ARGUMENT`,
 * `ERR_KEYRING_KEY_NOT_USABLE`
 *
 * @example
 * ```ts
 * import { keyringFromEnv } from '@keywright/envelope';
 * import { encryptStream } from '@keywright/envelope/stream';
 *
 * export function upload(file: Blob, id: string): Promise<Response> {
 *   const context = { tenant: 'acme', table: 'exports', id };
 *   const body = file.stream().pipeThrough(encryptStream(keyringFromEnv(), { context }));
 *   return fetch(`https://files.example/${id}`, { method: 'PUT', body, duplex: 'half' });
 * }
 * ```
 */
export function encryptStream(keyring: Keyring, options: EncryptStreamOptions): ByteStreamPair {
  return new MachinePair(new ChunkSealer(keyring, options));
}

/**
 * A pair of web streams that decrypts what {@link encryptStream} has made.
 *
 * **What comes out is provisional until the stream has closed without an error.** Every byte is authentic and in its
 * place, but a stream that was cut short shows itself only at its end. Act on nothing before: write to a temporary place
 * and rename it when `pipeTo` has resolved, remove it when it rejects.
 *
 * It fails with EnvelopeError `ERR_ENVELOPE_DECRYPT` without a reason for whatever was changed, cut, joined, put in
 * another order or is read under another context; `ERR_ENVELOPE_NOT_ENCRYPTED`, `ERR_ENVELOPE_UNSUPPORTED_VERSION`,
 * `ERR_ENVELOPE_MALFORMED` for what does not begin as a stream; `ERR_ENVELOPE_INVALID_VALUE` for a chunk that is no
 * Uint8Array; KeyringError `ERR_KEYRING_KID_UNKNOWN`, `ERR_KEYRING_KEY_NOT_USABLE` (looked at before every chunk),
 * `ERR_KEYRING_SUITE_MISSING`.
 *
 * @throws EnvelopeError `ERR_ENVELOPE_INVALID_CONTEXT`; KeyringError `ERR_KEYRING_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { keyringFromEnv } from '@keywright/envelope';
 * import { decryptStream } from '@keywright/envelope/stream';
 *
 * export async function download(id: string, part: WritableStream<Uint8Array>): Promise<void> {
 *   const context = { tenant: 'acme', table: 'exports', id };
 *   const { body } = await fetch(`https://files.example/${id}`);
 *   await body?.pipeThrough(decryptStream(keyringFromEnv(), { context })).pipeTo(part);
 *   // Only now is it whole: rename it.
 * }
 * ```
 */
export function decryptStream(keyring: Keyring, options: DecryptStreamOptions): ByteStreamPair {
  return new MachinePair(new ChunkOpener(keyring, options));
}
