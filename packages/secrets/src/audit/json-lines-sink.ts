import type { Writable } from 'node:stream';
import type { AuditSink } from '@keywright/envelope';
import { invalidArgument, kindOf } from '../arguments.ts';

/**
 * A sink that writes one line of JSON for each entry to a stream: a file, a socket of a SIEM's agent, standard output. A
 * batch is taken when the stream has written it, so a slow stream slows this sink and nothing else.
 *
 * @param stream a stream, or what opens one: a stream of Node that has failed is of no more use, so only what can be
 * opened again recovers. The host ends it.
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { createWriteStream } from 'node:fs';
 * import { createJsonLinesSink } from '@keywright/secrets/audit';
 *
 * const sink = createJsonLinesSink(() => createWriteStream('audit.jsonl', { flags: 'a' }));
 * console.log(typeof sink.write); // pass it as audit: { sinks: [{ name: 'siem', sink }] }
 * ```
 */
export function createJsonLinesSink(stream: Writable | (() => Writable)): AuditSink {
  if (typeof stream !== 'function') checkWritable(stream);
  let current: Writable | undefined;
  const open = (): Writable => {
    if (typeof stream !== 'function') return stream;
    if (current === undefined || isOver(current)) current = checkWritable(stream());
    return current;
  };
  return {
    write: async (entries, { signal }) => {
      const lines = entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');
      await written(open(), lines, signal);
    },
  };
}

async function written(stream: Writable, lines: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (isOver(stream)) throw new Error('The stream has failed or was ended.');
  let ended: ((error?: Error) => void) | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      ended = (error) => reject(error ?? new Error('The stream was closed, or took too long.'));
      signal.addEventListener('abort', () => ended?.(), { once: true });
      stream.on('error', ended); // with nobody listening it would end the process
      stream.once('close', ended);
      stream.write(lines, (error) => (error === null || error === undefined ? resolve() : reject(error)));
    });
  } finally {
    if (ended !== undefined) {
      stream.off('close', ended);
      // An error is announced after the write's callback.
      if (isOver(stream)) stream.on('error', () => {});
      stream.off('error', ended);
    }
  }
}

function isOver(stream: Writable): boolean {
  return stream.destroyed || stream.errored !== null || !stream.writable;
}

function checkWritable(stream: Writable): Writable {
  if (typeof stream?.write === 'function' && typeof stream.on === 'function') return stream;
  throw invalidArgument('stream', 'a Writable, or a function that opens one', kindOf(stream));
}
