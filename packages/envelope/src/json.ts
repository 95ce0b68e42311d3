import { EnvelopeError } from './errors.ts';
import { isTooLong, MAX_PLAINTEXT_BYTES } from './formats/plaintext.ts';
import { describe } from './keywright-error.ts';
import { isMap, isPromise, isSet, utf8Length } from './runtime/node.ts';

/** What `JSON.parse` returns. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** What may be handed to `JSON.stringify`; an `undefined`, function, symbol or bigint at the top is refused. */
export type JsonInput = string | number | boolean | null | object;

/**
 * `JSON.stringify`, typed.
 * @throws EnvelopeError `ERR_ENVELOPE_INVALID_VALUE` for what JSON cannot represent. The engine's own error is not kept
 * as a cause: its text quotes property names.
 */
export function toJson(value: JsonInput): string {
  let text: string | undefined;
  try {
    text = emptied(value) ? undefined : JSON.stringify(value);
  } catch {
    text = undefined;
  }
  if (text === undefined) throw invalid('a JSON value', describe(value));
  if (isTooLong(text)) {
    throw invalid(`at most ${MAX_PLAINTEXT_BYTES} bytes`, `${utf8Length(text)} bytes`);
  }
  return text;
}

/** What JSON would turn into `{}` without a word: a promise that nobody awaited, a Map, a Set. */
function emptied(value: unknown): boolean {
  return isPromise(value) || isMap(value) || isSet(value);
}

function invalid(expected: string, received: string): EnvelopeError {
  return new EnvelopeError('ERR_ENVELOPE_INVALID_VALUE', { context: { argument: 'value', expected, received } });
}
