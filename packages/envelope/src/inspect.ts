import { type EnvelopeInfo, readEnvelope } from './envelope.ts';
import { readBytes } from './formats/v2-bytes.ts';

/**
 * Version, form, suite and key id of an envelope, without a key: for a census, a rotation report, a debugger.
 * Nothing here is authenticated until the envelope is decrypted.
 *
 * @param envelope an object envelope or a bytes envelope
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
  if (envelope instanceof Uint8Array) {
    return { version: 2, form: 'bytes', suite: 'A256GCM', kid: readBytes(envelope).kid };
  }
  const { __enc: version, kid } = readEnvelope(envelope);
  return { version, form: 'object', suite: 'A256GCM', kid };
}
