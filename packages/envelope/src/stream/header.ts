import { EnvelopeError } from '../errors.ts';
import { isKid } from '../keys.ts';
import { COMMITMENT_BYTES, SALT_BYTES } from '../message-key.ts';
import { Buffer } from '../runtime/node.ts';
import { SUITES, type SuiteId, suiteOfCode } from '../suites/suite.ts';
import { prefixBytes } from './nonces.ts';

// 4B 57 53 ("KWS"), version, suite, chunk size as LE32, kid length, kid, salt, nonce prefix; the commitment follows.
const MAGIC: readonly number[] = [0x4b, 0x57, 0x53];
const VERSION = 2;
const FIXED_BYTES = 10;
const MAX_KID_BYTES = 64;
const MAX_PREFIX_BYTES = 19;

/** Bounds of the chunk size. A header is not authenticated before its chunk size decides how much is allocated. */
export const MIN_CHUNK_BYTES = 1024;
export const MAX_CHUNK_BYTES: number = 1024 * 1024;
export const DEFAULT_CHUNK_BYTES: number = 64 * 1024;

/** More than any header takes, its commitment included. */
export const MAX_HEADER_BYTES: number = FIXED_BYTES + MAX_KID_BYTES + SALT_BYTES + MAX_PREFIX_BYTES + COMMITMENT_BYTES;

/** What a stream says of itself. */
export interface StreamStart {
  readonly suite: SuiteId;
  readonly chunkBytes: number;
  readonly kid: string;
}

/** Where the parts of a header are. */
export interface HeaderLayout {
  readonly saltAt: number;
  readonly prefixAt: number;
  readonly commitmentAt: number;
  readonly length: number;
}

export function headerLayout({ suite, kid }: StreamStart): HeaderLayout {
  const saltAt = FIXED_BYTES + kid.length;
  const prefixAt = saltAt + SALT_BYTES;
  const commitmentAt = prefixAt + prefixBytes(suite);
  return { saltAt, prefixAt, commitmentAt, length: commitmentAt + COMMITMENT_BYTES };
}

/** A header whose salt, prefix and commitment are still to be filled in. */
export function writeStart(start: StreamStart): Buffer {
  const header = Buffer.allocUnsafeSlow(headerLayout(start).length);
  header.set(MAGIC, 0);
  header[3] = VERSION;
  header[4] = SUITES[start.suite].code;
  header.writeUInt32LE(start.chunkBytes, 5);
  header[9] = start.kid.length;
  header.write(start.kid, FIXED_BYTES, 'latin1');
  return header;
}

/** Whether bytes begin as a stream of this or a later version does. */
export function beginsStream(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, index) => bytes[index] === byte);
}

/**
 * Reads what stands before the salt; `undefined` as long as too few bytes have come.
 *
 * @param ended whether no more will come
 * @throws EnvelopeError `ERR_ENVELOPE_NOT_ENCRYPTED`, `ERR_ENVELOPE_UNSUPPORTED_VERSION`, `ERR_ENVELOPE_MALFORMED`
 */
export function readStart(bytes: Buffer, ended: boolean): StreamStart | undefined {
  const known = Math.min(bytes.length, MAGIC.length);
  for (let index = 0; index < known; index++) if (bytes[index] !== MAGIC[index]) throw notEncrypted(bytes);
  if (!ended && bytes.length < FIXED_BYTES) return undefined;
  if (known < MAGIC.length) throw notEncrypted(bytes);
  if (bytes[3] !== VERSION) throw unsupported(bytes[3] ?? 'nothing');
  const suite = suiteOfCode(bytes[4] ?? 1);
  if (suite === undefined) throw unsupported(`suite ${bytes[4]}`);
  if (bytes.length < FIXED_BYTES) throw malformed('chunkBytes');
  const chunkBytes = bytes.readUInt32LE(5);
  if (!isChunkSize(chunkBytes)) throw malformed('chunkBytes');
  const kidBytes = bytes[9] as number;
  if (kidBytes > MAX_KID_BYTES) throw malformed('kid');
  if (!ended && bytes.length < FIXED_BYTES + kidBytes) return undefined;
  const kid = bytes.toString('latin1', FIXED_BYTES, FIXED_BYTES + kidBytes);
  if (!isKid(kid) || kid.length !== kidBytes) throw malformed('kid');
  return { suite, chunkBytes, kid };
}

/** {@link readStart} for the first bytes of a stream, or all of it. */
export function readStream(stream: Uint8Array): StreamStart {
  const bytes = Buffer.from(stream.buffer, stream.byteOffset, stream.byteLength);
  return readStart(bytes, true) as StreamStart; // at the end, too few bytes are an error
}

export function isChunkSize(bytes: unknown): bytes is number {
  return Number.isInteger(bytes) && Number(bytes) >= MIN_CHUNK_BYTES && Number(bytes) <= MAX_CHUNK_BYTES;
}

function notEncrypted(bytes: Uint8Array): EnvelopeError {
  return new EnvelopeError('ERR_ENVELOPE_NOT_ENCRYPTED', {
    context: {
      expected: 'a stream that encryptStream has made',
      received: bytes.length === 0 ? 'nothing' : 'other bytes',
    },
  });
}

function unsupported(received: string | number): EnvelopeError {
  return new EnvelopeError('ERR_ENVELOPE_UNSUPPORTED_VERSION', { context: { received } });
}

function malformed(field: string): EnvelopeError {
  return new EnvelopeError('ERR_ENVELOPE_MALFORMED', { context: { field } });
}
