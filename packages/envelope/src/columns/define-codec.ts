import { readEnvelope } from '../envelope.ts';
import { EnvelopeError } from '../errors.ts';
import { sealV1 } from '../formats/v1.ts';
import { inspectEnvelope } from '../inspect.ts';
import type { JsonInput, JsonValue } from '../json.ts';
import { toJson } from '../json.ts';
import { usableEntry } from '../keyring.ts';
import { Buffer } from '../runtime/node.ts';
import type { ColumnCodec, ColumnCodecOptions, ColumnPlace, StoredForm } from './column-codec.ts';
import { ColumnError, type ColumnErrorCode } from './errors.ts';
import { type CheckedOptions, checkOptions } from './options.ts';
import { bytesForm, fromBytes, fromJson, fromText, textForm } from './payload.ts';
import { contextOf } from './place.ts';
import { classify, parse, type Stored } from './stored.ts';

/**
 * A codec for one column. Its values are bound to table and column, to the tenant if there is one, and to the primary
 * key unless it `binds` only the column: copied anywhere else, they do not open.
 *
 * `T` is what the application keeps there; add `null` to it for a column that may be null.
 *
 * @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT`; KeyringError `ERR_KEYRING_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
 * import { columnCodec } from '@keywright/envelope/columns';
 *
 * const keyring = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
 * const credentials = columnCodec<{ apiKey: string }>({ keyring, table: 'connections', column: 'credentials' });
 * const stored = credentials.encode({ apiKey: 'sk_test_1' }, { key: { id: 42 } }); // 'kw2.A256GCM.v1.…'
 * credentials.decode(stored, { key: { id: 42 } }); // { apiKey: 'sk_test_1' }
 * ```
 */
export function columnCodec(options: ColumnCodecOptions & { readonly payload: 'text' }): ColumnCodec<string | null>;
export function columnCodec(
  options: ColumnCodecOptions & { readonly payload: 'bytes' },
): ColumnCodec<Uint8Array | null>;
export function columnCodec<T = JsonValue>(options: ColumnCodecOptions): ColumnCodec<T>;
export function columnCodec(options: ColumnCodecOptions): ColumnCodec<unknown> {
  const codec = checkOptions(options);
  const { table, column, binds, payload, storage, write } = codec;
  return Object.freeze({
    table,
    column,
    binds,
    payload,
    storage,
    write,
    encode: (value: unknown, place?: ColumnPlace) =>
      value === null || value === undefined ? value : encode(codec, value, place),
    decode: (stored: unknown, place?: ColumnPlace) =>
      stored === null || stored === undefined ? stored : decode(codec, stored, place),
    inspect: (stored: unknown) => inspect(codec, stored),
  });
}

function encode(codec: CheckedOptions, value: unknown, place: ColumnPlace | undefined): unknown {
  const { keyring, payload, storage, jsonAs, write } = codec;
  // In the clear too, so that what is missing shows before the first value depends on it.
  const context = contextOf(codec, place);
  if (write === 'plaintext') return inTheClear(codec, value);
  if (write === 'v1') {
    const json = payload === 'json' ? textForm(payload, value) : toJson(textForm(payload, value));
    const envelope = sealV1(usableEntry(keyring, keyring.activeKid), json);
    return storage === 'json' && jsonAs === 'object' ? envelope : JSON.stringify(envelope);
  }
  if (storage === 'text') return keyring.encryptText(textForm(payload, value), { context });
  if (storage === 'json') {
    const input = payload === 'json' ? (value as JsonInput) : textForm(payload, value);
    const envelope = keyring.encrypt(input, { context });
    return jsonAs === 'object' ? envelope : JSON.stringify(envelope);
  }
  const { bytes, own } = bytesForm(payload, value);
  try {
    return keyring.encryptBytes(bytes, { context });
  } finally {
    if (own) bytes.fill(0);
  }
}

/** The value as it was stored before there was a codec. What would be taken for an envelope later is refused now. */
function inTheClear(codec: CheckedOptions, value: unknown): unknown {
  const stored = plainForm(codec, value);
  if (classify(codec, stored).claim === 'none') return stored;
  throw refused(codec, 'ERR_COLUMN_VALUE_AMBIGUOUS');
}

function plainForm({ payload, storage, jsonAs }: CheckedOptions, value: unknown): unknown {
  if (storage === 'bytes') return Buffer.from(bytesForm(payload, value).bytes);
  const text = textForm(payload, value);
  if (storage === 'text') return text;
  const json = payload === 'json' ? text : toJson(text);
  return jsonAs === 'string' ? json : parse(json);
}

function decode(codec: CheckedOptions, stored: unknown, place: ColumnPlace | undefined): unknown {
  const context = contextOf(codec, place);
  const found = classify(codec, stored);
  const value = found.claim === 'none' ? legacyValue(codec, found.value) : openedValue(codec, found, { context });
  if (value === undefined) throw refused(codec, 'ERR_COLUMN_PAYLOAD_TYPE');
  if (found.claim === 'none') codec.onLegacy?.(Object.freeze({ table: codec.table, column: codec.column }));
  return value;
}

function openedValue(
  codec: CheckedOptions,
  found: Exclude<Stored, { claim: 'none' }>,
  options: { readonly context: ReturnType<typeof contextOf> },
): unknown {
  const { keyring, payload } = codec;
  switch (found.claim) {
    case 'token':
      return fromText(payload, keyring.decryptText(found.token, options));
    case 'bytes':
      return fromBytes(payload, keyring.decryptBytes(found.envelope, options));
    case 'object': {
      const envelope = readEnvelope(found.envelope);
      if (envelope.__enc === 1 && codec.v1 === 'reject') throw refused(codec, 'ERR_COLUMN_V1_REFUSED');
      return fromJson(payload, keyring.decrypt(envelope, options));
    }
    case 'broken':
      throw new EnvelopeError('ERR_ENVELOPE_MALFORMED', { context: { table: codec.table, field: codec.column } });
    case 'unparsable':
      throw refused(codec, codec.legacy === 'allow' ? 'ERR_COLUMN_PAYLOAD_TYPE' : 'ERR_COLUMN_PLAINTEXT_REFUSED');
    default:
      throw refused(codec, 'ERR_COLUMN_STORED_TYPE');
  }
}

function legacyValue(codec: CheckedOptions, value: unknown): unknown {
  const { payload, storage, legacy } = codec;
  if (legacy === 'reject') throw refused(codec, 'ERR_COLUMN_PLAINTEXT_REFUSED');
  if (storage === 'json') return fromJson(payload, value);
  if (storage === 'text') return fromText(payload, value as string);
  return fromBytes(payload, Buffer.from(value as Uint8Array));
}

function inspect(codec: CheckedOptions, stored: unknown): StoredForm {
  if (stored === null || stored === undefined) return { state: 'null' };
  const found = classify(codec, stored);
  if (found.claim === 'none' || found.claim === 'unparsable') return { state: 'plaintext' };
  if (found.claim === 'broken' || found.claim === 'foreign') return { state: 'malformed' };
  try {
    const { version, kid } = inspectEnvelope(found.claim === 'token' ? found.token : found.envelope);
    return { state: 'encrypted', version, kid };
  } catch {
    return { state: 'malformed' };
  }
}

function refused({ table, column }: CheckedOptions, code: ColumnErrorCode): ColumnError {
  return new ColumnError(code, { context: { table, field: column } });
}
