import type { ColumnCodec, ColumnPlace } from '../columns/column-codec.ts';
import { invalid } from '../columns/options.ts';
import { type JsonInput, toJson } from '../json.ts';
import { isKeywrightError, type KeywrightError } from '../keywright-error.ts';
import { ColumnMigrationError } from './errors.ts';
import { keepsAll } from './json-loss.ts';
import type { SourceRow } from './row-source.ts';
import { isTarget, type Target } from './target.ts';

/** What is to become of a row. */
export type Conversion =
  | { readonly state: 'skip' }
  | { readonly state: 'change'; readonly next: unknown }
  | { readonly state: 'failed'; readonly code: string };

const SKIP: Conversion = Object.freeze({ state: 'skip' });

const LIKE_JSON = /^\s*[[{]/;

/** Codes that every row would meet: the codec or the source was not set up for this. */
const FATAL: ReadonlySet<string> = new Set([
  'ERR_COLUMN_PLAINTEXT_REFUSED',
  'ERR_COLUMN_V1_REFUSED',
  'ERR_COLUMN_TENANT_MISSING',
  'ERR_COLUMN_ROW_KEY_MISSING',
  'ERR_COLUMN_ROW_KEY_INVALID',
  'ERR_COLUMN_KEY_ACTIVE',
  'ERR_COLUMN_INVALID_ARGUMENT',
]);

/**
 * Makes what the row is to hold, and proves that it decrypts to what the row holds now. A value that cannot be read is
 * not touched.
 *
 * @throws KeywrightError for what every other row would meet too
 */
export function convert<T>(codec: ColumnCodec<T>, target: Target, row: SourceRow): Conversion {
  const form = codec.inspect(row.stored);
  if (form.state !== 'malformed' && !isTarget(target, form)) return SKIP;
  try {
    const place: ColumnPlace = { key: row.key, tenant: row.tenant };
    const value = codec.decode(row.stored, place);
    // It claims to be an envelope, so it would have to be one of a form that inspect() does not know.
    if (form.state === 'malformed') return { state: 'failed', code: 'ERR_ENVELOPE_MALFORMED' };
    const compared = comparable(value);
    if (form.state === 'plaintext' && codec.payload === 'json') checkReading(codec, row, value, String(compared));
    const next = codec.encode(value, place);
    checkMade(codec, target, value, next);
    if (!isEqual(comparable(codec.decode(next, place)), compared)) {
      throw new ColumnMigrationError('ERR_COLUMN_NOT_VERIFIED');
    }
    return { state: 'change', next };
  } catch (error) {
    if (!isKeywrightError(error) || FATAL.has(error.code)) throw error;
    return { state: 'failed', code: (error as KeywrightError).code };
  }
}

/** Whether the codec and JSON took from a plaintext all that it says. */
function checkReading<T>(codec: ColumnCodec<T>, { stored, text }: SourceRow, value: unknown, compact: string): void {
  if (text !== undefined || typeof stored === 'string') {
    if (text === undefined && value === stored && codec.storage === 'json' && LIKE_JSON.test(value as string)) {
      // JSON text taken for a JSON string: encrypted like that, an application that parses would get a text back.
      throw invalid('codec', "jsonAs as the source gives JSON: 'object' or 'string' for both", 'another');
    }
    const source = text ?? (value === stored ? compact : (stored as string));
    if (!keepsAll(source, compact)) throw new ColumnMigrationError('ERR_COLUMN_VALUE_LOSSY');
  }
}

/** Whether what was made is of the kind that is to stay. */
function checkMade<T>(codec: ColumnCodec<T>, target: Target, value: T, next: unknown): void {
  const made = codec.inspect(next);
  if (made.state === 'encrypted' && isTarget(target, made)) {
    if ('kid' in target) throw new ColumnMigrationError('ERR_COLUMN_KEY_ACTIVE', { context: { kid: target.kid } });
    throw invalid('codec.write', "'v2'", codec.write);
  }
  // The text null of a JSON column says what SQL's null says, and is stored as that.
  if (made.state !== (value === null ? 'null' : 'encrypted')) throw new ColumnMigrationError('ERR_COLUMN_NOT_VERIFIED');
}

/**
 * Bytes as they are, everything else as its JSON.
 * @throws EnvelopeError `ERR_ENVELOPE_INVALID_VALUE` for what can be parsed and not written, such as 10,000 arrays in each other
 */
function comparable(value: unknown): string | Buffer {
  if (!ArrayBuffer.isView(value)) return toJson(value as JsonInput);
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

function isEqual(a: string | Buffer, b: string | Buffer): boolean {
  return typeof a === 'string' || typeof b === 'string' ? a === b : a.equals(b);
}
