import { type EnvelopeInfo, readEnvelope } from './envelope.ts';
import { readBytes } from './formats/v2-bytes.ts';
import { readText } from './formats/v2-text.ts';
import { isUint8Array } from './runtime/node.ts';
import { beginsStream, readStream } from './stream/header.ts';

/**
 * Version, form, suite and key id of an envelope, without a key: for a census, a rotation report, a debugger.
 * Nothing here is authenticated until the envelope is decrypted.
 *
 * @param envelope an object envelope, a text token, a bytes envelope or a stream, of which the first 141 bytes suffice
 * @throws EnvelopeError `ERR_ENVELOPE_NOT_ENCRYPTED`, `ERR_ENVELOPE_UNSUPPORTED_VERSION`, `ERR_ENVELOPE_MALFORMED`
 *
 * @example
 * ```ts
 * import { createKeyring, generateKeyBase64, inspectEnvelope } from '@keywright/envelope';
 *
 * const keyring = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
 * const envelope = keyring.encrypt({ apiKey: 'sk_test_1' }, { context: { tenant: 'acme' } });
 * inspectEnvelope(envelope); // { version: 2, form: 'object', suite: 'A256GCM', kid: 'v1' }
 * ```
 */
export function inspectEnvelope(envelope: unknown): EnvelopeInfo {
  if (isUint8Array(envelope)) {
    if (beginsStream(envelope)) {
      const { suite, kid } = readStream(envelope);
      return { version: 2, form: 'stream', suite, kid };
    }
    const { suite, kid } = readBytes(envelope);
    return { version: 2, form: 'bytes', suite, kid };
  }
  if (typeof envelope === 'string') {
    const { suite, kid } = readText(envelope);
    return { version: 2, form: 'text', suite, kid };
  }
  const read = readEnvelope(envelope);
  const suite = read.__enc === 2 ? (read.alg ?? 'A256GCM') : 'A256GCM';
  return { version: read.__enc, form: 'object', suite, kid: read.kid };
}
