import { once } from 'node:events';
import { type Duplex, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as node from '@keywright/envelope/node-stream';
import * as web from '@keywright/envelope/stream';
import { describe, expect, it } from 'vitest';
import { keyringOf } from '../suites.ts';
import { CONTEXT, hex, KEYS } from '../support.ts';
import { all, rejection } from './support.ts';

const CHUNK = 1024;
const MIB = 1024 * 1024;
const keyring = keyringOf(KEYS);
const options = { context: CONTEXT, chunkBytes: CHUNK };

describe('a web stream', () => {
  it('makes no piece before it is asked for one, whatever was written at once', async () => {
    const { readable, writable } = web.encryptStream(keyring, { context: {} });
    const writer = writable.getWriter();
    let written = false;
    const writing = writer.write(new Uint8Array(20 * MIB)).then(() => (written = true));
    const reader = readable.getReader();
    await reader.read();
    const before = process.memoryUsage().arrayBuffers;
    for (let piece = 0; piece < 5; piece++) await reader.read();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 * MIB);
    expect(written).toBe(false);
    expect(writer.desiredSize).toBe(0);
    const closing = writer.close();
    while (!(await reader.read()).done);
    await Promise.all([writing, closing]);
  });

  it('is closed by a writer before anyone reads', async () => {
    const { readable, writable } = web.encryptStream(keyring, { context: {} });
    await writable.close();
    const sealed: Uint8Array[] = [];
    for await (const piece of readable) sealed.push(piece);
    expect(Buffer.concat(sealed)).toHaveLength(12 + 16 + 7 + 32 + 16);
  });

  it('leaves the buffer of a write to the writer once the write is over', async () => {
    const { readable, writable } = web.encryptStream(keyring, options);
    const writer = writable.getWriter();
    const opened = all(readable.pipeThrough(web.decryptStream(keyring, options)));
    const scratch = new Uint8Array(CHUNK);
    for (let round = 0; round < 5; round++) await writer.write(scratch.fill(round));
    await writer.close();
    const bytes = Buffer.concat(await opened);
    expect(bytes).toEqual(Buffer.concat(Array.from({ length: 5 }, (_, round) => Buffer.alloc(CHUNK, round))));
  });

  it('refuses a chunk that is detached while it waits', async () => {
    const { readable, writable } = web.encryptStream(keyring, options);
    const chunk = new Uint8Array(5 * CHUNK);
    const writing = rejection(writable.getWriter().write(chunk));
    const reader = readable.getReader();
    await reader.read();
    await reader.read();
    structuredClone(chunk, { transfer: [chunk.buffer] });
    expect((await rejection(reader.read())).code).toBe('ERR_ENVELOPE_INVALID_VALUE');
    expect((await writing).code).toBe('ERR_ENVELOPE_INVALID_VALUE');
  });

  it('settles every promise when it is aborted with a write that nobody reads', async () => {
    const reason = new Error('enough');
    for (const { readable, writable } of [web.encryptStream(keyring, options), web.decryptStream(keyring, options)]) {
      const writer = writable.getWriter();
      const writes = [rejection(writer.write(new Uint8Array(9000))), rejection(writer.write(new Uint8Array(1)))];
      await new Promise(setImmediate);
      await writer.abort(reason);
      expect(await Promise.all(writes)).toEqual([reason, reason]);
      expect(await rejection(writer.closed)).toBe(reason);
      expect(await rejection(readable.getReader().read())).toBe(reason);
    }
  });

  it('settles every promise when its reader cancels', async () => {
    const reason = new Error('enough');
    const { readable, writable } = web.encryptStream(keyring, options);
    const writer = writable.getWriter();
    const writing = rejection(writer.write(new Uint8Array(9000)));
    const reader = readable.getReader();
    await reader.read();
    await reader.cancel(reason);
    expect(await writing).toBe(reason);
    expect(await rejection(writer.closed)).toBe(reason);
    expect(await reader.read()).toEqual({ done: true, value: undefined });
  });

  it('passes on an error of its source, and an abort of its pipe', async () => {
    const reason = new Error('disk');
    const failing = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(reason) });
    expect(await rejection(all(failing.pipeThrough(web.encryptStream(keyring, options))))).toBe(reason);

    const abort = new AbortController();
    const endless = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(CHUNK)) });
    const sink = new WritableStream<Uint8Array>({ write: () => abort.abort(reason) });
    const piping = endless.pipeThrough(web.encryptStream(keyring, options)).pipeTo(sink, { signal: abort.signal });
    expect(await rejection(piping)).toBe(reason);
  });
});

describe('a node stream', () => {
  it('makes no more pieces than its reader has room for, whatever was written at once', async () => {
    const stream = node.encryptStream(keyring, options);
    let written = false;
    stream.write(new Uint8Array(20 * MIB), () => (written = true));
    await new Promise(setImmediate);
    expect(stream.readableLength).toBeLessThanOrEqual(stream.readableHighWaterMark + CHUNK + 16);
    expect(stream.writableNeedDrain).toBe(true);
    expect(written).toBe(false);
    stream.resume().end();
    await once(stream, 'end');
    expect(written).toBe(true);
  });

  it('leaves the buffer of a write to the writer once the write is over', async () => {
    const stream = node.encryptStream(keyring, options);
    const opened = stream.pipe(node.decryptStream(keyring, options)).toArray();
    const scratch = Buffer.alloc(CHUNK);
    for (let round = 0; round < 5; round++) {
      await new Promise((resolve) => stream.write(scratch.fill(round), resolve));
    }
    stream.end();
    const bytes = Buffer.concat(await opened);
    expect(bytes).toEqual(Buffer.concat(Array.from({ length: 5 }, (_, round) => Buffer.alloc(CHUNK, round))));
  });

  it('settles every write when it is destroyed, with or without an error', async () => {
    for (const reason of [new Error('enough'), undefined]) {
      const stream = node.encryptStream(keyring, options);
      const outcomes: (Error | null | undefined)[] = [];
      stream.on('error', () => {});
      stream.write(Buffer.alloc(MIB), (error?: Error | null) => outcomes.push(error));
      stream.write(Buffer.alloc(1), (error?: Error | null) => outcomes.push(error));
      await new Promise(setImmediate);
      stream.destroy(reason);
      await once(stream, 'close').catch(() => {});
      expect(outcomes).toHaveLength(2);
      for (const outcome of outcomes) {
        expect(outcome).toBeInstanceOf(Error);
        if (reason === undefined) expect(outcome).toMatchObject({ code: 'ERR_STREAM_DESTROYED' });
      }
      if (reason !== undefined) expect(stream.errored).toBe(reason);
    }
  });

  it('may be destroyed by a listener in the middle of a write', async () => {
    const stream = node.encryptStream(keyring, options);
    let pieces = 0;
    stream.on('data', () => {
      if (++pieces === 3) stream.destroy();
    });
    stream.write(Buffer.alloc(MIB));
    await once(stream, 'close');
    // Node hands on what was already in its buffer; of the other thousand none is made.
    expect(pieces).toBeLessThan(70);
  });

  it('ends a pipeline whose source or sink fails, or that is aborted', async () => {
    const reason = new Error('disk');
    const source = (): Readable => Readable.from([Buffer.alloc(MIB), Buffer.alloc(MIB)]);
    const failing = new Readable({ read: () => void failing.destroy(reason) });
    const sink = new Writable({ write: (_chunk, _encoding, callback) => callback(reason) });
    const endless = new Readable({ read: () => void endless.push(Buffer.alloc(CHUNK)) });
    const abort = new AbortController();
    const slow = new Writable({ write: () => abort.abort() });
    const [a, b, c] = [1, 2, 3].map(() => node.encryptStream(keyring, options)) as [Duplex, Duplex, Duplex];
    expect(await rejection(pipeline(failing, a, new Writable()))).toBe(reason);
    expect(await rejection(pipeline(source(), b, sink))).toBe(reason);
    expect((await rejection(pipeline(endless, c, slow, { signal: abort.signal }))).name).toBe('AbortError');
    expect([a, b, c].map((stream) => stream.destroyed)).toEqual([true, true, true]);
  });

  it('reports a stream that cannot be opened as the error of the pipeline', async () => {
    const sink = new Writable({ write: (_chunk, _encoding, callback) => callback() });
    const attempt = pipeline(
      Readable.from([Buffer.from('no stream at all')]),
      node.decryptStream(keyring, options),
      sink,
    );
    expect((await rejection(attempt)).code).toBe('ERR_ENVELOPE_NOT_ENCRYPTED');
  });
});

describe('memory', () => {
  const blocks = function* (): Generator<Uint8Array> {
    const block = Buffer.alloc(256 * 1024, 7);
    for (let at = 0; at < 256; at++) yield block;
  };
  const runs: [string, () => AsyncIterable<Uint8Array>][] = [
    [
      'web',
      () =>
        ReadableStream.from(blocks())
          .pipeThrough(web.encryptStream(keyring, { context: {} }))
          .pipeThrough(web.decryptStream(keyring, { context: {} })),
    ],
    [
      'node',
      () =>
        Readable.from(blocks(), { objectMode: true })
          .pipe(node.encryptStream(keyring, { context: {} }))
          .pipe(node.decryptStream(keyring, { context: {} })),
    ],
  ];

  it.each(runs)('does not grow with a %s stream: 64 MiB there and back', async (_name, run) => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    // What is alive, not what the collector has not looked at yet.
    const alive = (): number => {
      collect();
      // The memory of dead buffers is given back beside the program; the next collection waits for that.
      collect();
      return process.memoryUsage().arrayBuffers;
    };
    const before = alive();
    let bytes = 0;
    let peak = 0;
    for await (const piece of run()) {
      bytes += piece.length;
      if (bytes % (8 * MIB) < piece.length) peak = Math.max(peak, alive() - before);
    }
    expect(bytes).toBe(64 * MIB);
    expect(peak).toBeLessThan(16 * MIB);
  });
});

it('a File goes through a web stream and into a node stream', async () => {
  const plaintext = Buffer.alloc(300_000, 3);
  const sealed = new Blob([plaintext]).stream().pipeThrough(web.encryptStream(keyring, { context: CONTEXT }));
  const opened = Readable.fromWeb(sealed as never).pipe(node.decryptStream(keyring, { context: CONTEXT }));
  expect(hex(Buffer.concat(await opened.toArray()))).toBe(hex(plaintext));
});
