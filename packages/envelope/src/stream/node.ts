import { Duplex } from 'node:stream';
import type { Keyring } from '../keyring.ts';
import { checkChunk, type StreamMachine } from './machine.ts';
import { ChunkOpener, type DecryptStreamOptions } from './opener.ts';
import { ChunkSealer, type EncryptStreamOptions } from './sealer.ts';

type Callback = (error?: Error | null) => void;

/**
 * A machine as a node stream. A write is acknowledged when its last byte has been used, and no piece is made that nobody
 * has room for: a Transform would turn one write of a gigabyte into a gigabyte of output.
 */
class MachineStream extends Duplex {
  readonly #machine: StreamMachine;
  #acknowledge: Callback | undefined;
  #ending = false;
  #room = true;
  #running = false;

  constructor(machine: StreamMachine) {
    super();
    this.#machine = machine;
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, callback: Callback): void {
    this.#acknowledge = callback;
    this.#run(() => this.#machine.feed(checkChunk(chunk)));
  }

  override _final(callback: Callback): void {
    this.#acknowledge = callback;
    this.#ending = true;
    this.#run(() => this.#machine.end());
  }

  override _read(): void {
    this.#room = true;
    this.#run();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.#machine.destroy();
    this.#settle(error ?? destroyed());
    callback(error);
  }

  /** A listener may read, write or destroy in the middle of this, which then only leaves word for the loop. */
  #run(first?: () => void): void {
    try {
      first?.();
      if (!this.#running) this.#work();
    } catch (error) {
      this.#settle(error as Error);
    }
  }

  #work(): void {
    this.#running = true;
    try {
      // What is left at the end is a chunk at most, so it need not wait for a reader.
      while ((this.#room || this.#ending) && this.#acknowledge !== undefined) {
        const piece = this.#machine.next();
        if (piece !== undefined) this.#room = this.push(piece);
        else this.#used();
      }
    } finally {
      this.#running = false;
    }
  }

  #used(): void {
    if (this.#ending) this.push(null);
    this.#settle();
  }

  #settle(error?: Error): void {
    const acknowledge = this.#acknowledge;
    this.#acknowledge = undefined;
    acknowledge?.(error);
  }
}

/** What Node tells the writes that were waiting behind the one under way. */
function destroyed(): Error {
  return Object.assign(new Error('The stream was destroyed before this was written.'), {
    code: 'ERR_STREAM_DESTROYED',
  });
}

/**
 * A stream that encrypts what is written to it, for files and values too large for an envelope. Memory does not grow
 * with the stream, and a write waits for the reader. What comes out is at most 157 bytes longer, and 16 bytes more for
 * each chunk after the first.
 *
 * The key that is active now encrypts the whole stream, even if it is rotated meanwhile; disabled or destroyed, it fails
 * the stream with `ERR_KEYRING_KEY_NOT_USABLE`. Strings are encoded by Node as in every stream of bytes.
 *
 * The stream can be read by `decryptStream` of this module and of `@keywright/envelope/stream`.
 *
 * @throws EnvelopeError `ERR_ENVELOPE_INVALID_CONTEXT`; KeyringError `ERR_KEYRING_INVALID_ARGUMENT`,
 * `ERR_KEYRING_KEY_NOT_USABLE`
 *
 * @example
 * ```ts
 * import { createReadStream, createWriteStream } from 'node:fs';
 * import { pipeline } from 'node:stream/promises';
 * import { keyringFromEnv } from '@keywright/envelope';
 * import { encryptStream } from '@keywright/envelope/node-stream';
 *
 * const context = { tenant: 'acme', table: 'exports', id: '7' };
 * await pipeline(
 *   createReadStream('export.csv'),
 *   encryptStream(keyringFromEnv(), { context }),
 *   createWriteStream('export.csv.kws'),
 * );
 * ```
 */
export function encryptStream(keyring: Keyring, options: EncryptStreamOptions): Duplex {
  return new MachineStream(new ChunkSealer(keyring, options));
}

/**
 * A stream that decrypts what {@link encryptStream} has made.
 *
 * **What comes out is provisional until the stream has ended without an error.** Every byte is authentic and in its
 * place, but a stream that was cut short shows itself only at its end. Act on nothing before: write to a temporary file
 * and rename it when the pipeline is over, remove it when it fails.
 *
 * It fails with EnvelopeError `ERR_ENVELOPE_DECRYPT` without a reason for whatever was changed, cut, joined, put in
 * another order or is read under another context; `ERR_ENVELOPE_NOT_ENCRYPTED`, `ERR_ENVELOPE_UNSUPPORTED_VERSION`,
 * `ERR_ENVELOPE_MALFORMED` for what does not begin as a stream; KeyringError `ERR_KEYRING_KID_UNKNOWN`,
 * `ERR_KEYRING_KEY_NOT_USABLE` (looked at before every chunk), `ERR_KEYRING_SUITE_MISSING`.
 *
 * @throws EnvelopeError `ERR_ENVELOPE_INVALID_CONTEXT`; KeyringError `ERR_KEYRING_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { createReadStream, createWriteStream } from 'node:fs';
 * import { rename, rm } from 'node:fs/promises';
 * import { pipeline } from 'node:stream/promises';
 * import { keyringFromEnv } from '@keywright/envelope';
 * import { decryptStream } from '@keywright/envelope/node-stream';
 *
 * const context = { tenant: 'acme', table: 'exports', id: '7' };
 * try {
 *   await pipeline(
 *     createReadStream('export.csv.kws'),
 *     decryptStream(keyringFromEnv(), { context }),
 *     createWriteStream('export.csv.part', { mode: 0o600 }),
 *   );
 *   await rename('export.csv.part', 'export.csv'); // only now is it whole
 * } catch (error) {
 *   await rm('export.csv.part', { force: true });
 *   throw error;
 * }
 * ```
 */
export function decryptStream(keyring: Keyring, options: DecryptStreamOptions): Duplex {
  return new MachineStream(new ChunkOpener(keyring, options));
}
