import { associatedData, type ContextPairs } from '../context.ts';
import { pae } from '../internal/pae.ts';
import type { KeyEntry } from '../key-entry.ts';
import type { MessageKey } from '../message-key.ts';
import { Buffer, sha512 } from '../runtime/node.ts';
import { SUITES, type Suite } from '../suites/suite.ts';
import { headerLayout, type StreamStart } from './header.ts';

const LABEL = 'keywright/2-stream';

/** What every chunk of one stream is sealed with. */
export interface StreamKey {
  readonly message: MessageKey;
  readonly associatedData: Uint8Array;
}

/**
 * Derives the key of a stream from its header. The commitment is left out of the associated data: it is compared by
 * itself, before any chunk, and a suite that binds the context in the key could not contain its own outcome.
 *
 * @param header from the first byte to the commitment, which need not be there yet
 * @throws EnvelopeError `ERR_ENVELOPE_INVALID_CONTEXT`
 */
export function streamKey(
  entry: KeyEntry,
  suite: Suite,
  start: StreamStart,
  header: Buffer,
  context: ContextPairs,
): StreamKey {
  const { saltAt, prefixAt, commitmentAt } = headerLayout(start);
  const prefix = pae([LABEL, header.subarray(0, commitmentAt)]);
  // Copied: the other is a view that the next message overwrites.
  const bound = Buffer.from(associatedData(prefix, 2, context));
  const chunkBytes = Buffer.allocUnsafeSlow(4);
  chunkBytes.writeUInt32LE(start.chunkBytes, 0);
  const info: (string | Uint8Array)[] = [LABEL, suite.id, entry.kid, chunkBytes];
  if (SUITES[suite.id].contextIn === 'key') info.push(sha512(bound));
  return { message: entry.streamKey(suite, info, header.subarray(saltAt, prefixAt)), associatedData: bound };
}
