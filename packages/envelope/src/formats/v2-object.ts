import type { ContextPairs } from '../context.ts';
import type { EnvelopeV2 } from '../envelope.ts';
import { base64DecodeInto, decodingRoom } from '../internal/base64.ts';
import { workspace } from '../internal/workspace.ts';
import type { JsonValue } from '../json.ts';
import type { KeyEntry } from '../key-entry.ts';
import type { Suite } from '../suites/suite.ts';
import { MAX_PLAINTEXT_BYTES, parsePlaintext } from './plaintext.ts';
import { ivBytes, layOut, MAX_IV_BYTES, OVERHEAD_BYTES, openMessage, sealMessage } from './v2.ts';

const MAX_BASE64 = Math.ceil((MAX_PLAINTEXT_BYTES + OVERHEAD_BYTES) / 3) * 4;

/** The object envelope of a JSON text. */
export function sealObject(entry: KeyEntry, suite: Suite, context: ContextPairs, json: string): EnvelopeV2 {
  const message = sealMessage(entry, suite, 'json', context, json);
  const length = message.ciphertext.length + OVERHEAD_BYTES;
  const body = workspace(length);
  layOut(message, body, 0);
  const ivText = message.iv.toString('base64');
  const ct = body.toString('base64', 0, length);
  // The default suite is not named, so that its envelopes stay what they always were.
  if (suite.id === 'A256GCM') return { __enc: 2, kid: entry.kid, iv: ivText, ct };
  return { __enc: 2, alg: suite.id, kid: entry.kid, iv: ivText, ct };
}

/** The value, or `undefined`, whatever is wrong with the envelope. */
export function openObject(
  entry: KeyEntry,
  suite: Suite,
  context: ContextPairs,
  envelope: EnvelopeV2,
): JsonValue | undefined {
  if (envelope.ct.length > MAX_BASE64) return undefined;
  const ivLength = ivBytes(suite.id);
  const bytes = workspace(MAX_IV_BYTES + decodingRoom(envelope.ct));
  if (base64DecodeInto(envelope.iv, bytes) !== ivLength) return undefined;
  const length = base64DecodeInto(envelope.ct, bytes, ivLength);
  if (length < 0) return undefined;
  return parsePlaintext(openMessage(entry, suite, 'json', context, { bytes, start: 0, end: ivLength + length }));
}
