import { isUtf8 } from 'node:buffer';
import { EnvelopeError } from '../errors.ts';
import type { JsonValue } from '../json.ts';

/**
 * The JSON value of a decrypted plaintext, which is wiped. A tag that did not verify (`undefined`) and a plaintext that
 * is not UTF-8 JSON are one error without a cause: the parser's message would quote the plaintext.
 *
 * @throws EnvelopeError `ERR_ENVELOPE_DECRYPT`
 */
export function parsePlaintext(plaintext: Buffer | undefined): JsonValue {
  if (plaintext === undefined) throw new EnvelopeError('ERR_ENVELOPE_DECRYPT');
  try {
    if (isUtf8(plaintext)) return JSON.parse(plaintext.toString('utf8')) as JsonValue;
  } catch {
    // not JSON: refused below, like everything else
  } finally {
    plaintext.fill(0);
  }
  throw new EnvelopeError('ERR_ENVELOPE_DECRYPT');
}
