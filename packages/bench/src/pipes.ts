import { type Duplex, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ByteStreamPair } from '@keywright/envelope/stream';

/** Sends pieces through a node stream into a sink that counts them. @param onPiece hears of each that comes out */
export async function bytesThroughNode(
  pieces: Iterable<Uint8Array>,
  stream: Duplex,
  onPiece?: () => void,
): Promise<number> {
  const source = pieces[Symbol.iterator]();
  let bytes = 0;
  const readable = new Readable({
    read() {
      this.push(source.next().value ?? null);
    },
  });
  const sink = new Writable({
    write(piece: Uint8Array, _encoding, callback) {
      bytes += piece.length;
      onPiece?.();
      callback();
    },
  });
  await pipeline(readable, stream, sink);
  return bytes;
}

/** The same through a web stream. */
export async function bytesThroughWeb(
  pieces: Iterable<Uint8Array>,
  pair: ByteStreamPair,
  onPiece?: () => void,
): Promise<number> {
  const source = pieces[Symbol.iterator]();
  let bytes = 0;
  const readable = new ReadableStream<Uint8Array>({
    pull(controller) {
      const next = source.next();
      if (next.done) controller.close();
      else controller.enqueue(next.value);
    },
  });
  const sink = new WritableStream<Uint8Array>({
    write(piece) {
      bytes += piece.length;
      onPiece?.();
    },
  });
  await readable.pipeThrough(pair).pipeTo(sink);
  return bytes;
}
