import type { ContextPairs } from '../context.ts';
import type { EnvelopeV2 } from '../envelope.ts';
import { base64DecodeInto } from '../internal/base64.ts';
import type { JsonValue } from '../json.ts';
import type { KeyEntry } from '../key-entry.ts';
import { MAX_PLAINTEXT_BYTES, parsePlaintext } from './plaintext.ts';
import { IV_BYTES, layOut, OVERHEAD_BYTES, openMessage, sealMessage } from './v2.ts';

// Ciphertext on its way to or from base64. It is not secret, so messages share one buffer, up to a size that no process
// minds keeping; fresh pages for every large message cost more than the cipher.
const MAX_SHARED_BYTES = 2 * 1024 * 1024;
let shared = Buffer.allocUnsafeSlow(64 * 1024);
const MAX_BASE64 = Math.ceil((MAX_PLAINTEXT_BYTES + OVERHEAD_BYTES) / 3) * 4;
const sharedIv = Buffer.allocUnsafeSlow(IV_BYTES);

function workspace(length: number): Buffer {
  if (length <= shared.length) return shared;
  if (length > MAX_SHARED_BYTES) return Buffer.allocUnsafeSlow(length);
  shared = Buffer.allocUnsafeSlow(Math.min(MAX_SHARED_BYTES, 2 * length));
  return shared;
}

/** The object envelope of a JSON text. */
export function sealObject(entry: KeyEntry, context: ContextPairs, json: string): EnvelopeV2 {
  const message = sealMessage(entry, 'json', context, json);
  const length = message.ciphertext.length + OVERHEAD_BYTES;
  const body = workspace(length);
  layOut(message, body, 0);
  return {
    __enc: 2,
    kid: entry.kid,
    iv: message.iv.toString('base64'),
    ct: body.toString('base64', 0, length),
  };
}

/** The value, or `undefined`, whatever is wrong with the envelope. */
export function openObject(entry: KeyEntry, context: ContextPairs, envelope: EnvelopeV2): JsonValue | undefined {
  if (envelope.ct.length > MAX_BASE64) return undefined;
  const body = workspace((envelope.ct.length / 4) * 3);
  const length = base64DecodeInto(envelope.ct, body);
  if (length < 0 || base64DecodeInto(envelope.iv, sharedIv) !== IV_BYTES) return undefined;
  return parsePlaintext(openMessage(entry, 'json', context, sharedIv, body.subarray(0, length)));
}
