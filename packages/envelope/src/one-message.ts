import { associatedData, type ContextPairs, contextPairs } from './context.ts';
import { EnvelopeError, KeyringError } from './errors.ts';
import { asBuffer } from './formats/plaintext.ts';
import { MAX_BODY_BYTES, OVERHEAD_BYTES, type SealedBytes } from './formats/v2.ts';
import { readBytes } from './formats/v2-bytes.ts';
import { isBytes } from './internal/bytes.ts';
import { pae } from './internal/pae.ts';
import type { ContextOptions } from './keyring.ts';
import { checkKid, KEY_BYTES } from './keys.ts';
import { describe } from './keywright-error.ts';
import { COMMITMENT_BYTES, MESSAGE_KEY_BYTES, SALT_BYTES } from './message-key.ts';
import { LABEL, PREFIX_PARTS } from './message-keys.ts';
import { A256GCM, type Buffer, hkdfSha512, type SecretKey, secretKey, timingSafeEqual } from './runtime/node.ts';
import { SUITES, TAG_BYTES } from './suites/suite.ts';

/** Options of {@link decryptBytesOnce}. */
export interface DecryptOnceOptions extends ContextOptions {
  /** Id that the envelope names its key by. */
  readonly kid: string;
  /** 32 bytes. They are copied; wipe yours. */
  readonly key: Uint8Array;
}

/**
 * Opens a bytes envelope under a key that has encrypted this one message, such as a data key that is kept beside its
 * ciphertext. It does what a keyring of that one key does, in half the time: nothing is kept for a second message. Only
 * AES-256-GCM.
 *
 * @returns the plaintext in memory that the caller may wipe
 * @throws EnvelopeError `ERR_ENVELOPE_DECRYPT` without a reason; `ERR_ENVELOPE_NOT_ENCRYPTED`,
 * `ERR_ENVELOPE_UNSUPPORTED_VERSION`, `ERR_ENVELOPE_MALFORMED`, `ERR_ENVELOPE_INVALID_CONTEXT`; KeyringError
 * `ERR_KEYRING_KID_UNKNOWN`, `ERR_KEYRING_KID_INVALID`, `ERR_KEYRING_KEY_INVALID`, `ERR_KEYRING_SUITE_MISSING`
 *
 * @example
 * ```ts
 * import { createKeyring, decryptBytesOnce } from '@keywright/envelope';
 *
 * const key = crypto.getRandomValues(new Uint8Array(32));
 * const context = { kind: 'attachment', tenant: 'acme', id: '42' };
 * const sealed = createKeyring({ keys: { dek: key }, activeKid: 'dek' }).encryptBytes(Buffer.from('text'), { context });
 * decryptBytesOnce(sealed, { kid: 'dek', key, context }); // the bytes of 'text'
 * ```
 */
export function decryptBytesOnce(envelope: Uint8Array, options: DecryptOnceOptions): Buffer {
  if (!isBytes(envelope)) {
    throw new EnvelopeError('ERR_ENVELOPE_NOT_ENCRYPTED', {
      context: { expected: 'Uint8Array', received: describe(envelope) },
    });
  }
  // The options are the caller's code to read; afterwards nothing of it runs.
  const pairs = contextPairs(options?.context);
  const { kid, key } = options;
  if (last?.kid !== kid) last = labelsOf(checkKid(kid));
  const labels = last;
  const secret = importedKey(key, kid);
  const { suite, kid: named, sealed } = readBytes(envelope);
  if (named !== kid) throw new KeyringError('ERR_KEYRING_KID_UNKNOWN', { context: { kid: named } });
  if (suite !== A256GCM.id) throw new KeyringError('ERR_KEYRING_SUITE_MISSING', { context: { expected: suite } });
  const opened = openOne(secret, labels, pairs, sealed);
  if (opened !== undefined) return opened;
  throw new EnvelopeError('ERR_ENVELOPE_DECRYPT');
}

/** What is the same for all messages under keys of one id. */
interface Labels {
  readonly kid: string;
  readonly prefix: Uint8Array;
  readonly info: Uint8Array;
}

/** Whoever calls often calls with one id. */
let last: Labels | undefined;

function labelsOf(kid: string): Labels {
  return { kid, prefix: pae([LABEL, A256GCM.id, kid, 'bytes']), info: pae([LABEL, A256GCM.id, kid]) };
}

function importedKey(key: Uint8Array, kid: string): SecretKey {
  if (isBytes(key) && key.byteLength === KEY_BYTES) return secretKey(key);
  throw new KeyringError('ERR_KEYRING_KEY_INVALID', {
    context: { kid, expected: `${KEY_BYTES} bytes as a Uint8Array`, received: describe(key) },
  });
}

/** As `openMessage` does, with nothing kept. `undefined`, whatever is wrong. */
function openOne(
  secret: SecretKey,
  labels: Labels,
  context: ContextPairs,
  { bytes, start, end }: SealedBytes,
): Buffer | undefined {
  const nonceAt = start + SALT_BYTES;
  const bodyAt = nonceAt + SUITES.A256GCM.nonceLength;
  const ciphertextAt = bodyAt + COMMITMENT_BYTES;
  if (end - bodyAt < OVERHEAD_BYTES || end - bodyAt > MAX_BODY_BYTES) return undefined;
  const okm = hkdfSha512(secret, bytes.subarray(start, nonceAt), labels.info, MESSAGE_KEY_BYTES + COMMITMENT_BYTES);
  const committed = timingSafeEqual(bytes.subarray(bodyAt, ciphertextAt), okm.subarray(MESSAGE_KEY_BYTES));
  const key = committed ? A256GCM.importKey(okm.subarray(0, MESSAGE_KEY_BYTES)) : undefined;
  okm.fill(0);
  const plaintext = key?.open(
    bytes.subarray(nonceAt, bodyAt),
    associatedData(labels.prefix, PREFIX_PARTS, context),
    bytes.subarray(ciphertextAt, end - TAG_BYTES),
    bytes.subarray(end - TAG_BYTES, end),
  );
  return plaintext === undefined ? undefined : asBuffer(plaintext);
}
