import type { ContextPairs } from '../context.ts';
import { EnvelopeError } from '../errors.ts';
import { base64UrlDecodeInto, decodingRoom } from '../internal/base64.ts';
import { workspace } from '../internal/workspace.ts';
import type { KeyEntry } from '../key-entry.ts';
import { isKid } from '../keys.ts';
import { describe } from '../keywright-error.ts';
import { toBase64Url } from '../runtime/node.ts';
import { isSuiteId, type Suite, type SuiteId } from '../suites/suite.ts';
import { MAX_PLAINTEXT_BYTES, textOf } from './plaintext.ts';
import { ivBytes, layOut, MAX_IV_BYTES, OVERHEAD_BYTES, openMessage, sealMessage } from './v2.ts';

/** What every token of this version starts with. */
const START = 'kw2.';
/** A later version's token. */
const ANY_VERSION = /^kw\d{1,4}\./;
const MAX_BASE64 = Math.ceil((MAX_PLAINTEXT_BYTES + OVERHEAD_BYTES) / 3) * 4;
const SUITE_NAME = /^[A-Z0-9]{1,16}$/;

/** Where the parts of a text token are. */
export interface TextLayout {
  readonly suite: SuiteId;
  readonly kid: string;
  readonly iv: string;
  readonly ct: string;
}

/** `kw2.<suite>.<kid>.<iv>.<ct>` of a text, for text columns. */
export function sealText(entry: KeyEntry, suite: Suite, context: ContextPairs, text: string): string {
  const message = sealMessage(entry, suite, 'text', context, text);
  const length = message.ciphertext.length + OVERHEAD_BYTES;
  const body = workspace(length);
  layOut(message, body, 0);
  const ivText = toBase64Url(message.iv, 0, message.iv.length);
  return `${START}${suite.id}.${entry.kid}.${ivText}.${toBase64Url(body, 0, length)}`;
}

/** Whether a text claims to be a token, of this or a later version. A claim is decrypted or refused, never passed on. */
export function claimsToken(text: string): boolean {
  return text.startsWith('kw') && ANY_VERSION.test(text);
}

/**
 * @throws EnvelopeError `ERR_ENVELOPE_NOT_ENCRYPTED`, `ERR_ENVELOPE_UNSUPPORTED_VERSION`, `ERR_ENVELOPE_MALFORMED`
 */
export function readText(token: unknown): TextLayout {
  if (typeof token !== 'string' || !claimsToken(token)) {
    throw new EnvelopeError('ERR_ENVELOPE_NOT_ENCRYPTED', { context: { received: describe(token) } });
  }
  if (!token.startsWith(START)) throw unsupported('another version');
  const suiteEnd = token.indexOf('.', START.length);
  const kidEnd = token.indexOf('.', suiteEnd + 1);
  const ivEnd = token.indexOf('.', kidEnd + 1);
  if (suiteEnd < 0 || kidEnd < 0 || ivEnd < 0) throw malformed('parts');
  const suite = token.slice(START.length, suiteEnd);
  if (!isSuiteId(suite)) throw SUITE_NAME.test(suite) ? unsupported('another suite') : malformed('suite');
  const kid = token.slice(suiteEnd + 1, kidEnd);
  if (!isKid(kid)) throw malformed('kid');
  return { suite, kid, iv: token.slice(kidEnd + 1, ivEnd), ct: token.slice(ivEnd + 1) };
}

/** The text, or `undefined`, whatever is wrong with the token. */
export function openText(entry: KeyEntry, suite: Suite, context: ContextPairs, layout: TextLayout): string | undefined {
  if (layout.ct.length > MAX_BASE64) return undefined;
  const ivLength = ivBytes(suite.id);
  const bytes = workspace(MAX_IV_BYTES + decodingRoom(layout.ct));
  if (base64UrlDecodeInto(layout.iv, bytes) !== ivLength) return undefined;
  const length = base64UrlDecodeInto(layout.ct, bytes, ivLength);
  if (length < 0) return undefined;
  return textOf(openMessage(entry, suite, 'text', context, { bytes, start: 0, end: ivLength + length }));
}

function unsupported(received: string): EnvelopeError {
  return new EnvelopeError('ERR_ENVELOPE_UNSUPPORTED_VERSION', { context: { received } });
}

function malformed(field: string): EnvelopeError {
  return new EnvelopeError('ERR_ENVELOPE_MALFORMED', { context: { field } });
}
