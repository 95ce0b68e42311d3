import { EnvelopeError } from './errors.ts';
import { describe } from './keywright-error.ts';

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
    text = JSON.stringify(value);
  } catch {
    text = undefined;
  }
  if (text === undefined) {
    throw new EnvelopeError('ERR_ENVELOPE_INVALID_VALUE', {
      context: { argument: 'value', expected: 'a JSON value', received: describe(value) },
    });
  }
  return text;
}
