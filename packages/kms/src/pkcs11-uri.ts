import { kindOf } from './arguments.ts';
import { KmsError } from './errors.ts';

/** What a PKCS #11 URI (RFC 7512) names: a library, a token, an object in it, or how to get at them. */
export interface Pkcs11Uri {
  /** Label of the token. */
  readonly token?: string | undefined;
  readonly manufacturer?: string | undefined;
  readonly model?: string | undefined;
  readonly serial?: string | undefined;
  readonly slotId?: number | undefined;
  readonly slotDescription?: string | undefined;
  readonly slotManufacturer?: string | undefined;
  readonly libraryDescription?: string | undefined;
  readonly libraryManufacturer?: string | undefined;
  /** `major.minor` or `major`. */
  readonly libraryVersion?: string | undefined;
  /** Label of the object. */
  readonly object?: string | undefined;
  readonly type?: 'cert' | 'data' | 'private' | 'public' | 'secret-key' | undefined;
  /** CKA_ID of the object: any bytes. */
  readonly id?: Uint8Array | undefined;
  readonly moduleName?: string | undefined;
  readonly modulePath?: string | undefined;
  /** Where the PIN is read from. */
  readonly pinSource?: string | undefined;
  /** The PIN itself. Not enumerable in what {@link parsePkcs11Uri} returns, so that it is not shown with the rest. */
  readonly pinValue?: string | undefined;
  /** Attributes of vendors by name, those of path and query alike. */
  readonly vendor?: Readonly<Record<string, readonly string[]>> | undefined;
}

type TextField = Exclude<keyof Pkcs11Uri, 'id' | 'slotId' | 'type' | 'vendor'>;
type Field = Exclude<keyof Pkcs11Uri, 'vendor'>;

const PATH: ReadonlyMap<string, Field> = new Map([
  ['token', 'token'],
  ['manufacturer', 'manufacturer'],
  ['model', 'model'],
  ['serial', 'serial'],
  ['slot-id', 'slotId'],
  ['slot-description', 'slotDescription'],
  ['slot-manufacturer', 'slotManufacturer'],
  ['library-description', 'libraryDescription'],
  ['library-manufacturer', 'libraryManufacturer'],
  ['library-version', 'libraryVersion'],
  ['object', 'object'],
  ['type', 'type'],
  ['id', 'id'],
]);
const QUERY: ReadonlyMap<string, Field> = new Map([
  ['module-name', 'moduleName'],
  ['module-path', 'modulePath'],
  ['pin-source', 'pinSource'],
  ['pin-value', 'pinValue'],
]);

const SCHEME = /^pkcs11:/i;
const MAX_LENGTH = 8_192;
const NAME = /^[A-Za-z0-9_-]+$/;
// RFC 7512, 2.3: pk11-path-res-avail and pk11-query-res-avail, beside unreserved characters.
const PATH_VALUE = /^(?:[A-Za-z0-9._~:[\]@!$'()*+,=&-]|%[0-9A-Fa-f]{2})*$/;
const QUERY_VALUE = /^(?:[A-Za-z0-9._~:[\]@!$'()*+,=/?|-]|%[0-9A-Fa-f]{2})*$/;
const VERSION = /^\d{1,10}(?:\.\d{1,10})?$/;
const TYPES = ['cert', 'data', 'private', 'public', 'secret-key'] as const;
/** What is written as it is; everything else is percent-encoded, which is always allowed. */
const PLAIN = /^[A-Za-z0-9._~-]$/;

/**
 * Reads a PKCS #11 URI (RFC 7512). Attributes that are known come once; names that are not are the vendors'.
 *
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`, which names what is wrong and shows nothing of the URI: it may hold a PIN
 *
 * @example
 * ```ts
 * import { parsePkcs11Uri } from '@keywright/kms';
 *
 * export const { token, object } = parsePkcs11Uri('pkcs11:token=prod;object=signing?module-path=/usr/lib/hsm.so');
 * ```
 */
export function parsePkcs11Uri(uri: string): Pkcs11Uri {
  if (typeof uri !== 'string') throw invalid('a pkcs11: URI', kindOf(uri));
  if (uri.length > MAX_LENGTH) throw invalid(`at most ${MAX_LENGTH} characters`, 'a longer string');
  if (!SCHEME.test(uri)) throw invalid('a pkcs11: URI', 'another string');
  const rest = uri.slice('pkcs11:'.length);
  const mark = rest.indexOf('?');
  const path = mark === -1 ? rest : rest.slice(0, mark);
  const query = mark === -1 ? '' : rest.slice(mark + 1);
  const read = new Reading();
  for (const part of partsOf(path, ';')) read.add(part, PATH, PATH_VALUE, false);
  for (const part of partsOf(query, '&')) read.add(part, QUERY, QUERY_VALUE, true);
  return read.result();
}

/**
 * Writes a PKCS #11 URI; {@link parsePkcs11Uri} reads it back. What it returns shows the PIN if there is one.
 *
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`
 */
export function formatPkcs11Uri(uri: Pkcs11Uri): string {
  if (typeof uri !== 'object' || uri === null) throw invalid('a Pkcs11Uri', kindOf(uri));
  const path = written(uri, PATH);
  const query = written(uri, QUERY);
  for (const [name, values] of Object.entries(uri.vendor ?? {})) {
    if (!NAME.test(name) || PATH.has(name) || QUERY.has(name)) throw invalid('a name of a vendor’s', 'another name');
    // Only in the query may one be repeated.
    for (const value of values) query.push(`${name}=${encode(Buffer.from(value))}`);
  }
  const text = `pkcs11:${path.join(';')}${query.length === 0 ? '' : `?${query.join('&')}`}`;
  parsePkcs11Uri(text);
  return text;
}

function written(uri: Pkcs11Uri, fields: ReadonlyMap<string, Field>): string[] {
  const parts: string[] = [];
  for (const [name, field] of fields) {
    const value = uri[field];
    if (value === undefined) continue;
    if (typeof value === 'string' && !value.isWellFormed())
      throw invalid('well-formed strings', 'a lone surrogate', name);
    parts.push(`${name}=${encode(value instanceof Uint8Array ? value : Buffer.from(String(value)))}`);
  }
  return parts;
}

function encode(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) {
    const character = String.fromCharCode(byte);
    text += PLAIN.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}

function partsOf(text: string, separator: string): readonly string[] {
  return text === '' ? [] : text.split(separator);
}

/** What was read of a URI so far. */
class Reading {
  readonly #fields = new Map<Field, string | number | Uint8Array>();
  readonly #vendor = new Map<string, string[]>();

  add(part: string, known: ReadonlyMap<string, Field>, form: RegExp, repeated: boolean): void {
    const equals = part.indexOf('=');
    const name = equals === -1 ? '' : part.slice(0, equals);
    const encoded = part.slice(equals + 1);
    if (!NAME.test(name)) throw invalid('attributes of the form name=value', 'another part');
    const field = known.get(name);
    if (field === undefined) {
      if (PATH.has(name) || QUERY.has(name))
        throw invalid('the attribute in its place, path or query', 'the other', name);
      this.#addVendor(name, textOf(encoded, form, 'a vendor’s'), repeated);
      return;
    }
    if (this.#fields.has(field)) throw invalid('the attribute once', 'twice', name);
    this.#fields.set(field, readValue(field, name, encoded, form));
  }

  result(): Pkcs11Uri {
    const vendor = Object.fromEntries([...this.#vendor].map(([name, values]) => [name, Object.freeze(values)]));
    const { pinValue, ...shown } = Object.fromEntries(this.#fields) as { -readonly [Name in TextField]?: string };
    const result = { ...shown, ...(this.#vendor.size === 0 ? {} : { vendor: Object.freeze(vendor) }) };
    if (pinValue !== undefined) Object.defineProperty(result, 'pinValue', { value: pinValue, enumerable: false });
    return Object.freeze(result);
  }

  #addVendor(name: string, value: string, repeated: boolean): void {
    const values = this.#vendor.get(name);
    if (values === undefined) this.#vendor.set(name, [value]);
    else if (repeated) values.push(value);
    else throw invalid('an attribute of the path once', 'twice');
  }
}

function readValue(field: Field, name: string, encoded: string, form: RegExp): string | number | Uint8Array {
  if (field === 'id') return Uint8Array.from(bytesOf(encoded, form, name));
  const text = textOf(encoded, form, name);
  if (field === 'slotId') {
    const number = /^\d{1,20}$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(number)) throw invalid('a number', 'something else', name);
    return number;
  }
  if (field === 'type' && !TYPES.some((type) => type === text)) {
    throw invalid(`one of ${TYPES.join(', ')}`, 'something else', name);
  }
  if (field === 'libraryVersion' && !VERSION.test(text)) throw invalid('major.minor', 'something else', name);
  return text;
}

function textOf(encoded: string, form: RegExp, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytesOf(encoded, form, name));
  } catch (error) {
    if (error instanceof KmsError) throw error;
    throw invalid('UTF-8', 'other bytes', name);
  }
}

function bytesOf(encoded: string, form: RegExp, name: string): Buffer {
  if (!form.test(encoded)) throw invalid('characters of a URI, others as %XX', 'others', name);
  const bytes: number[] = [];
  for (let index = 0; index < encoded.length; index++) {
    if (encoded[index] === '%') {
      bytes.push(Number.parseInt(encoded.slice(index + 1, index + 3), 16));
      index += 2;
    } else {
      bytes.push(encoded.charCodeAt(index));
    }
  }
  return Buffer.from(bytes);
}

function invalid(expected: string, received: string, field?: string): KmsError {
  const context = { argument: 'uri', expected, received };
  return new KmsError('ERR_KMS_INVALID_ARGUMENT', { context: field === undefined ? context : { ...context, field } });
}
