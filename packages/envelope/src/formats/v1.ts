import type { EnvelopeV1 } from '../envelope.ts';
import { base64Decode } from '../internal/base64.ts';
import type { JsonValue } from '../json.ts';
import type { KeyEntry } from '../key-entry.ts';
import { Buffer, fillRandom } from '../runtime/node.ts';
import { SUITES, TAG_BYTES } from '../suites/suite.ts';
import { parsePlaintext } from './plaintext.ts';

const NO_ASSOCIATED_DATA = new Uint8Array(0);
const NONCE_BYTES = SUITES.A256GCM.nonceLength;

/**
 * Makes a version 1 envelope of UTF-8 `text` and counts it.
 * @throws KeyringError `ERR_KEYRING_KEY_EXHAUSTED`, `ERR_KEYRING_KEY_NOT_USABLE`
 */
export function sealV1(entry: KeyEntry, text: string): EnvelopeV1 {
  entry.countV1();
  entry.requireUsable(); // the count was told to the host, whose code may have taken the key out of use
  const nonce = fillRandom(Buffer.allocUnsafe(NONCE_BYTES));
  const { ciphertext, tag } = entry.v1Key().seal(nonce, NO_ASSOCIATED_DATA, text);
  return {
    __enc: 1,
    kid: entry.kid,
    iv: nonce.toString('base64'),
    ct: Buffer.concat([ciphertext, tag]).toString('base64'),
  };
}

/** The value, or `undefined`, whatever is wrong with the envelope. */
export function openV1(entry: KeyEntry, envelope: EnvelopeV1): JsonValue | undefined {
  const nonce = base64Decode(envelope.iv);
  const body = base64Decode(envelope.ct);
  if (nonce?.length !== NONCE_BYTES || body === undefined || body.length < TAG_BYTES) return undefined;
  const tagAt = body.length - TAG_BYTES;
  const plaintext = entry.v1Key().open(nonce, NO_ASSOCIATED_DATA, body.subarray(0, tagAt), body.subarray(tagAt));
  return parsePlaintext(plaintext);
}
