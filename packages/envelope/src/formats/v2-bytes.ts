import type { ContextPairs } from '../context.ts';
import { EnvelopeError } from '../errors.ts';
import { steady } from '../internal/bytes.ts';
import type { KeyEntry } from '../key-entry.ts';
import { isKid } from '../keys.ts';
import { Buffer } from '../runtime/node.ts';
import { SUITES, type Suite, type SuiteId, suiteOfCode } from '../suites/suite.ts';
import { layOut, OVERHEAD_BYTES, openMessage, type SealedBytes, sealMessage } from './v2.ts';

// 4B 57 ("KW"), version, suite, kid length, kid, iv, ct
const MAGIC_0 = 0x4b;
const MAGIC_1 = 0x57;
/** Where a stream has an S. */
const STREAM = 0x53;
const VERSION = 2;
const FIXED_BYTES = 5;

/** Where the parts of a bytes envelope are. */
export interface BytesLayout {
  readonly suite: SuiteId;
  readonly kid: string;
  readonly sealed: SealedBytes;
}

/** The bytes envelope of `plaintext`, for bytea and blob columns. */
export function sealBytes(entry: KeyEntry, suite: Suite, context: ContextPairs, plaintext: Uint8Array): Buffer {
  const message = sealMessage(entry, suite, 'bytes', context, plaintext);
  const ivAt = FIXED_BYTES + entry.kid.length;
  const out = Buffer.allocUnsafeSlow(ivAt + message.iv.length + OVERHEAD_BYTES + message.ciphertext.length);
  out[0] = MAGIC_0;
  out[1] = MAGIC_1;
  out[2] = VERSION;
  out[3] = SUITES[suite.id].code;
  out[4] = entry.kid.length;
  out.write(entry.kid, FIXED_BYTES, 'latin1');
  out.set(message.iv, ivAt);
  layOut(message, out, ivAt + message.iv.length);
  return out;
}

/**
 * @throws EnvelopeError `ERR_ENVELOPE_NOT_ENCRYPTED`, `ERR_ENVELOPE_UNSUPPORTED_VERSION`, `ERR_ENVELOPE_MALFORMED`
 */
export function readBytes(envelope: Uint8Array): BytesLayout {
  const bytes = steady(envelope);
  if (bytes[0] !== MAGIC_0 || bytes[1] !== MAGIC_1) throw new EnvelopeError('ERR_ENVELOPE_NOT_ENCRYPTED');
  if (bytes[2] === STREAM) throw unsupported('a stream: decryptStream reads it');
  if (bytes[2] !== VERSION) throw unsupported(bytes[2] ?? 'nothing');
  const suite = suiteOfCode(bytes[3] ?? 1);
  if (suite === undefined) throw unsupported(`suite ${bytes[3]}`);
  const ivAt = FIXED_BYTES + (bytes[4] ?? 0);
  const kid = bytes.toString('latin1', FIXED_BYTES, ivAt);
  if (!isKid(kid) || kid.length !== bytes[4]) {
    throw new EnvelopeError('ERR_ENVELOPE_MALFORMED', { context: { field: 'kid' } });
  }
  return { suite, kid, sealed: { bytes, start: ivAt, end: bytes.length } };
}

/** The plaintext in memory of its own, or `undefined`, whatever is wrong with the envelope. */
export function openBytes(
  entry: KeyEntry,
  suite: Suite,
  context: ContextPairs,
  layout: BytesLayout,
): Buffer | undefined {
  return openMessage(entry, suite, 'bytes', context, layout.sealed);
}

function unsupported(received: string | number): EnvelopeError {
  return new EnvelopeError('ERR_ENVELOPE_UNSUPPORTED_VERSION', { context: { received } });
}
